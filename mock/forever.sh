#!/bin/sh
# Loops for ever; SIGTERM ends it with exit 0.

success_exiting() {
    echo "$$ Got TERM sig, success exiting with zero status"
    exit 0
}

trap success_exiting TERM

echo "$$ Forever loop"

while true; do
    sleep 1
done
