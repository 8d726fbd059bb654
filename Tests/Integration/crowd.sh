#!/bin/sh
# Hosts, sweeps, restores, verifications and enrolments at once on one repository, in processes of their own, some of
# them killed: nobody takes what another does for damage. CROWD_SECONDS is 15 unless it is set.
. "$(dirname -- "$0")/cases.sh"
seconds=${CROWD_SECONDS:-15}
seed=${CROWD_SEED:-1}
mkdir "$folder/crowd"
python3 "$top/Tests/Support/crowd.py" "$dozo" "$folder/crowd" "$seconds" "$seed" ||
    fail "the crowd comes to its end" "see above; seed $seed"
echo done
