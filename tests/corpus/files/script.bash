# Pipes, redirections, background jobs, traps, here-documents.
set -o pipefail
exec 5>log 6<text
read -r first <&6
echo "$first" >&5
sort text | uniq -c | head -3 > counted 2>&1
(cd tree && ls | wc -l) >> counted
cat <<END | tr a-z A-Z > loud
here: $(basename "$PWD") is $(wc -c < bytes) bytes
END
trap 'echo ended >&5' EXIT
trap 'echo user >&5' USR1
kill -USR1 $$
sleep 0.05 &
child=$!
wait "$child"
diff <(sort counted) <(sort -r counted) > differs || echo "$?" >&5
[[ -f loud && ! -e nothing ]] && mv loud quiet
printf '%s\n' {1..40} | while read -r n; do ((n % 10)) || echo "$n"; done >> counted
rm -f differs nothing
exec 5>&- 6<&-
