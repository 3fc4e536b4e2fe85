#!/usr/bin/env bash
# A SLURM of one machine, for the tests: cluster.sh start FOLDER, cluster.sh stop FOLDER. Needs root; listens on the
# loopback only. What it writes is in FOLDER, but for /etc/slurm/slurm.conf and gres.conf: jobs look for them there.
#
# The node claims 4 cores, 64 GB and two GPUs, for which two devices stand in that every machine has.
set -euo pipefail

[[ $# == 2 && ($1 == start || $1 == stop) ]] || { echo "Usage: cluster.sh start|stop FOLDER" >&2; exit 2; }
folder=$(realpath --canonicalize-missing "$2")
node=$(hostname --short)

stop() {
    local daemon pid
    for daemon in slurmd slurmctld munged; do
        [[ -s $folder/run/$daemon.pid ]] || continue
        pid=$(<"$folder/run/$daemon.pid")
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null && sleep 0.1 || break; done
        kill -9 "$pid" 2>/dev/null || true
    done
    if [[ -L /etc/slurm/slurm.conf && $(readlink /etc/slurm/slurm.conf) == "$folder"/* ]]; then
        rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf
    fi
}

configure() {
    mkdir -p "$folder"/{etc,run,log,state,spool} /etc/slurm
    chmod 755 "$folder" "$folder"/{etc,run,log}
    cat >"$folder/etc/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket.2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
MinJobAge=600
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=$node NodeAddr=127.0.0.1 CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=64000 Gres=gpu:2
PartitionName=cpu Nodes=$node Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$node MaxTime=INFINITE State=UP
CONF
    printf "NodeName=$node Name=gpu File=%s\n" /dev/null /dev/zero >"$folder/etc/gres.conf"
    for file in slurm.conf gres.conf; do
        [[ ! -e /etc/slurm/$file || -L /etc/slurm/$file ]] || { echo "/etc/slurm/$file is there already" >&2; exit 1; }
        ln -sfn "$folder/etc/$file" "/etc/slurm/$file"
    done
    (umask 377 && dd if=/dev/urandom of="$folder/etc/munge.key" bs=1024 count=1 status=none)
}

start() {
    configure
    trap stop ERR
    munged --key-file="$folder/etc/munge.key" --socket="$folder/run/munge.socket.2" --pid-file="$folder/run/munged.pid" \
        --log-file="$folder/log/munged.log" --seed-file="$folder/run/munged.seed"
    slurmctld
    slurmd
    for _ in $(seq 60); do
        [[ $(sinfo --noheader --partition=gpu --format=%t 2>/dev/null) == idle ]] && { sinfo; return; }
        sleep 0.5
    done
    echo "The node did not become idle:" >&2
    tail -n 20 "$folder"/log/*.log >&2
    stop
    exit 1
}

"$1"
