{ words[$NF]++; total += $2 }
NR % 1000 == 0 { print NR, $2 | "sort -rn" }
END { close("sort -rn"); system("true"); for (word in words) print word, words[word], total; "date +%Y" | getline year; print year > "year" }
