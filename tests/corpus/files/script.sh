mkdir -p d/e
cp text d/e/text
find d -type f | xargs md5sum > sums
grep -c 7 text >> sums
sed -n 's/line 1/Line one/p' text | sort | head -n 5 > some
tar cf d.tar d
ln -s d.tar link
stat link > stat
date -r text +%Y >> stat
test -L link && rm -r d
