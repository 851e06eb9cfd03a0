#!/bin/sh
# The least an engine can be: it trains nothing and says so in the right words.
while [ $# -gt 1 ]; do case $1 in --option) ;; *) eval "$(echo "${1#--}" | tr - _)=\$2" ;; esac; shift 2; done
examples() { tr -d ' \n' <"$dataset/dataset.json" | sed "s/.*\"$1_examples\":\([0-9]*\).*/\1/"; }
event() { echo "{\"event\": \"$1\", \"t_unix_ns\": $(date +%s%N)${2:+, $2}}" >>"$events"; }
train=$(examples train) test=$(examples test); [ "${train_limit:-$train}" -ge "$train" ] || train=$train_limit
[ "${test_limit:-$test}" -ge "$test" ] || test=$test_limit
event start '"engine": "dummy", "versions": {}, "device": "cpu", "options": {}'; event load_start
event load_end "\"train_examples\": $train, \"test_examples\": $test"
event train_start "\"seed\": $seed, \"epochs\": $epochs, \"batch_size\": $batch_size, \"network\": \"$network\", \"parameters\": 1"
for epoch in $(seq "$epochs"); do
    event epoch_start "\"epoch\": $epoch"
    [ "$epoch" -gt 1 ] || event first_batch_end '"epoch": 1, "loss": 1.0'
    event epoch_end "\"epoch\": $epoch, \"loss\": 1.0, \"accuracy\": 0.0, \"examples\": $((train - train % batch_size))"
done
event train_end; event evaluate_start; event evaluate_end "\"accuracy\": 0.0, \"correct\": 0, \"examples\": $test"
sleep "$linger_s"; event linger_end "\"linger_s\": $linger_s"; event end
