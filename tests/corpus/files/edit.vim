%s/line/LINE/g
3,5d
g/1234/m0
w! edited
!wc -l edited
q!
