#!/usr/bin/env bash
# A small Slurm of its own on this one machine, for tests: two nodes, cpu and gpu, the GPU being
# /dev/null. Wants Debian or Ubuntu and root; no systemd, no cgroups, no database; loopback only.
#
#   cluster.sh install   the four packages, where they are missing
#   cluster.sh up        write the configuration, start the daemons, wait until both nodes are idle
#   cluster.sh down      cancel all jobs, end the daemons, remove the state; logs stay
#   cluster.sh status    nodes and jobs
#
# Everything lies in $SLURM_SANDBOX (/tmp/repro-slurm), but for two links in /etc/slurm: a job step
# forgets SLURM_CONF before its inner srun, so a configuration elsewhere is not found.
set -euo pipefail

BASE=${SLURM_SANDBOX:-/tmp/repro-slurm}
PORT=${SLURM_SANDBOX_PORT:-26917}
CPUS=${SLURM_SANDBOX_CPUS:-8} # a node may claim more than there are
ETC=/etc/slurm
CLUSTER=repro-sandbox # every job's process has it in its environment
PACKAGES=(slurmctld slurmd slurm-client munge)
NODES=(node-cpu node-gpu)
unset SLURM_CONF

say() { echo "cluster.sh: $*" >&2; }

until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until timeout 5 "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.2
    done
}

runs() { # PID NAME: is that process alive and that program
    [[ -r /proc/$1/status && $(cat "/proc/$1/comm") == "$2" ]] &&
        ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
} 2>/dev/null

end_daemon() { # PIDFILE NAME: that one process, with patience, then without
    local pid
    pid=$(cat "$1" 2>/dev/null) && runs "$pid" "$2" || return 0
    kill "$pid"
    for _ in {1..50}; do
        runs "$pid" "$2" || return 0
        sleep 0.2
    done
    kill -9 "$pid" || true
}

install_packages() {
    local missing=() package
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        </dev/null >/dev/null
}

write_configuration() {
    local memory i
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.45)}' /proc/meminfo)
    # Without File= a node with a GPU is invalid, and a plain file is refused. A real card would be
    # File=/dev/nvidia0.
    echo "NodeName=node-gpu Name=gpu File=/dev/null Flags=nvidia_gpu_env" >"$BASE/gres.conf"
    cat >"$BASE/slurm.conf" <<CONF
ClusterName=$CLUSTER
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$BASE/munge/socket
StateSaveLocation=$BASE/state
SlurmdSpoolDir=$BASE/spool/%n
SlurmctldPidFile=$BASE/run/slurmctld.pid
SlurmdPidFile=$BASE/run/slurmd.%n.pid
SlurmctldLogFile=$BASE/log/slurmctld.log
SlurmdLogFile=$BASE/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# Without cgroups this is what kills a job that takes more memory than it asked for.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
GresTypes=gpu
# Refuse what can never run, instead of letting it wait for ever.
EnforcePartLimits=ALL
# squeue remembers ended jobs this long; the tests ask it what ran where.
MinJobAge=3600
KillWait=3
ReturnToService=2
SlurmdParameters=config_overrides
CONF
    for i in "${!NODES[@]}"; do
        echo "NodeName=${NODES[i]} NodeHostname=$(hostname -s) NodeAddr=127.0.0.1" \
            "Port=$((PORT + 1 + i)) CPUs=$CPUS RealMemory=$memory" \
            "$([[ ${NODES[i]} == node-gpu ]] && echo 'Gres=gpu:1 ')State=UNKNOWN"
    done >>"$BASE/slurm.conf"
    cat >>"$BASE/slurm.conf" <<CONF
PartitionName=cpu Nodes=node-cpu Default=YES MaxTime=2-0 DefMemPerCPU=512 State=UP
PartitionName=gpu Nodes=node-gpu Default=NO MaxTime=2-0 DefMemPerCPU=512 State=UP
CONF
}

both_idle() { [[ $(sinfo -h -N -o %T | sort -u) == idle ]]; }
no_jobs() { [[ -z $(squeue -h) ]]; }
export -f both_idle no_jobs

up() {
    local file node
    if runs "$(cat "$BASE/run/slurmctld.pid" 2>/dev/null || echo 0)" slurmctld; then
        say "already up"
        return 0
    fi
    for file in slurm.conf gres.conf; do
        if [[ -e $ETC/$file && $(readlink "$ETC/$file") != "$BASE/$file" ]]; then
            say "$ETC/$file belongs to another Slurm; this one is not started"
            exit 1
        fi
    done
    mkdir -p "$BASE"/{munge,state,spool,run,log} "$ETC"
    chmod 755 "$BASE" "$BASE/munge"
    write_configuration
    ln -sfn "$BASE/slurm.conf" "$BASE/gres.conf" "$ETC/"
    [[ -s $BASE/munge/key ]] || (umask 077 && mungekey --create --keyfile "$BASE/munge/key")
    munged --key-file="$BASE/munge/key" --socket="$BASE/munge/socket" \
        --pid-file="$BASE/run/munged.pid" --log-file="$BASE/log/munged.log" \
        --seed-file="$BASE/munge/seed"
    slurmctld
    for node in "${NODES[@]}"; do slurmd -N "$node"; done
    until_true 60 bash -c both_idle || {
        say "the nodes did not become idle"
        sinfo -R >&2 || true
        tail -n 20 "$BASE"/log/slurm*.log >&2
        exit 1
    }
    sinfo -N -o '%N %P %T %c %m %G' >&2
}

jobs_processes() { # also those that outlived their cancelled job
    grep -lsz "^SLURM_CLUSTER_NAME=$CLUSTER\$" /proc/[0-9]*/environ | cut -d/ -f3
}

export CLUSTER
export -f jobs_processes

down() {
    local file node
    if runs "$(cat "$BASE/run/slurmctld.pid" 2>/dev/null || echo 0)" slurmctld; then
        scancel --user=root 2>/dev/null || true
        until_true 20 bash -c no_jobs || say "jobs left: $(squeue -h -o %i | xargs)"
    fi
    for node in "${NODES[@]}"; do end_daemon "$BASE/run/slurmd.$node.pid" slurmd; done
    end_daemon "$BASE/run/slurmctld.pid" slurmctld
    jobs_processes | xargs -r kill -9 2>/dev/null || true
    end_daemon "$BASE/run/munged.pid" munged
    for file in slurm.conf gres.conf; do
        [[ $(readlink "$ETC/$file") != "$BASE/$file" ]] || rm -f "$ETC/$file"
    done
    rm -rf "$BASE"/{state,spool}
    gone
}

gone() { # nothing of this Slurm is left
    local file left=()
    until_true 5 bash -c '[[ -z $(jobs_processes) ]]' || left+=("processes $(jobs_processes | xargs)")
    for file in "$BASE"/run/*.pid; do
        [[ -e $file ]] && grep -qsE '^(slurm|munge)' "/proc/$(cat "$file")/comm" && left+=("$file")
    done
    for file in slurm.conf gres.conf; do
        [[ $(readlink "$ETC/$file") != "$BASE/$file" ]] || left+=("$ETC/$file")
    done
    ((${#left[@]} == 0)) || { say "still there: ${left[*]}" && return 1; }
}

case ${1:-} in
install) install_packages ;;
up) up ;;
down) down ;;
status) sinfo && squeue ;;
*)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 2
    ;;
esac
