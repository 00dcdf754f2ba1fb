#!/usr/bin/env bash
# Submit, follow, stop, retry and schedule runs on a real Kubeflow cluster; leaves no run going and no schedule. With
# PODS_IN=NAMESPACE and kubectl, a pack's pod is deleted, too.
#
#   KFP_ENDPOINT=http://127.0.0.1:8080 tests/cluster/smoke.sh my-cluster.yaml
#
# The configuration says where the cluster's storage and MLflow are. Credentials: as for sanefit submit.
set -euo pipefail

SANEFIT=${SANEFIT:-sanefit}
CONFIG=${1:-}
NAME=sanefit-smoke
END_SECONDS=${END_SECONDS:-300} # for a run that was stopped to end

if [[ -z ${KFP_ENDPOINT:-} || $# -gt 1 || ${CONFIG} == -* ]]; then
    echo "usage: KFP_ENDPOINT=URL $0 [CONFIG]" >&2
    echo "KFP_ENDPOINT is the address of Kubeflow Pipelines, as http://127.0.0.1:8080 after" >&2
    echo "kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80" >&2
    exit 2
fi

arguments=(--set name=$NAME)
[[ -z $CONFIG ]] || arguments=("$CONFIG" "${arguments[@]}")
key=smoke-$(date +%Y%m%d-%H%M%S)-$$
runs=()

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'smoke: failed: %s\n' "$*" >&2; exit 1; }
field() { tail -n 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
state() { "$SANEFIT" runs show "$1" --json | field state; }

clean_up() {
    status=$?
    step "cleaning up"
    for run in "${runs[@]}"; do "$SANEFIT" runs stop "$run" || true; done
    "$SANEFIT" schedule delete $NAME --wait 2>/dev/null || true
    [[ $status -eq 0 ]] && echo "smoke: all is well" || echo "smoke: failed, status $status" >&2
}
trap clean_up EXIT

wait_for_line() { # until `runs show RUN` has a line that matches
    local deadline=$((SECONDS + END_SECONDS))
    until "$SANEFIT" runs show "$1" | grep -Eq "$2"; do
        ((SECONDS < deadline)) || fail "run $1 shows no line '$2' after $END_SECONDS s"
        sleep 1
    done
}

wait_for_end() {
    local deadline=$((SECONDS + END_SECONDS))
    until [[ $(state "$1") =~ ^(succeeded|failed|stopped)$ ]]; do
        ((SECONDS < deadline)) || fail "run $1 has not ended after $END_SECONDS s"
        sleep 1
    done
}

step "submit, and follow to the end"
"$SANEFIT" submit "${arguments[@]}" --idempotency-key "$key" --wait
first=$("$SANEFIT" submit "${arguments[@]}" --idempotency-key "$key" --json | field run_id)
runs+=("$first")
[[ $(state "$first") == succeeded ]] || fail "run $first did not succeed"

step "the same key again gives the same run"
again=$("$SANEFIT" submit "${arguments[@]}" --idempotency-key "$key" --json | field already_submitted)
[[ $again == True ]] || fail "the key $key started a second run"

step "runs list, runs show"
"$SANEFIT" runs list --name $NAME --limit 3
"$SANEFIT" runs show "$first"

step "the page of a run"
page=$("$SANEFIT" report "$first" --endpoint "$KFP_ENDPOINT" --workdir "$(mktemp -d)")
grep -q "</html>" "$page" || fail "$page is no page"

step "a network that cannot learn is stopped at the gate, with the reason"
hopeless=$("$SANEFIT" submit "${arguments[@]}" --set network.init=zeros --json | field run_id)
runs+=("$hopeless")
wait_for_end "$hopeless"
[[ $("$SANEFIT" runs show "$hopeless" --json | field error) == "gate: the network failed the checks"* ]] ||
    fail "run $hopeless does not say what the gate said: $("$SANEFIT" runs show "$hopeless" --json | field error)"

if [[ -n ${PODS_IN:-} ]]; then
    step "a pack whose pod is deleted goes on"
    deleted=$("$SANEFIT" submit "${arguments[@]}" --set seed=$RANDOM --json | field run_id)
    runs+=("$deleted")
    wait_for_line "$deleted" '^coarse pack 1 .*running'
    pod=$(kubectl -n "$PODS_IN" get pods -l "pipeline/runid=$deleted" --field-selector status.phase=Running -o name | grep system-container-impl | head -n 1)
    kubectl -n "$PODS_IN" delete "$pod"
    wait_for_end "$deleted"
    [[ $(state "$deleted") == succeeded ]] || fail "run $deleted did not outlive the deletion of $pod"
fi

step "runs stop, runs retry"
second=$("$SANEFIT" submit "${arguments[@]}" --json | field run_id)
runs+=("$second")
"$SANEFIT" runs stop "$second"
wait_for_end "$second"
[[ $(state "$second") == stopped ]] || fail "run $second was stopped, and is shown as $(state "$second")"
third=$("$SANEFIT" runs retry "$second" --json | field run_id)
[[ $third != "$second" ]] || fail "Kubeflow cannot retry run $second, which was stopped"
runs+=("$third")
wait_for_line "$third" '^(coarse|fine) pack 1 .*(running|succeeded)'
"$SANEFIT" runs stop "$third"
wait_for_end "$third"

step "schedule: set, set again, pause, resume, delete"
cron="0 0 3 1 1 *"
"$SANEFIT" schedule set "${arguments[@]}" --cron "$cron"
unchanged=$("$SANEFIT" schedule set "${arguments[@]}" --cron "$cron" --json | field change)
[[ $unchanged == unchanged ]] || fail "the second set was '$unchanged', not 'unchanged'"
"$SANEFIT" schedule list
"$SANEFIT" schedule pause $NAME
"$SANEFIT" schedule resume $NAME
"$SANEFIT" schedule delete $NAME --wait

step "a schedule of one minute fires"
before=$("$SANEFIT" runs list --name $NAME --limit 1 --json | field runs)
"$SANEFIT" schedule set "${arguments[@]}" --cron "* * * * *"
deadline=$((SECONDS + END_SECONDS))
until [[ $("$SANEFIT" runs list --name $NAME --limit 1 --json | field runs) != "$before" ]]; do
    ((SECONDS < deadline)) || fail "the schedule has started no run after $END_SECONDS s"
    sleep 1
done
"$SANEFIT" schedule delete $NAME --wait
