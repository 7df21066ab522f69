#!/usr/bin/env bash
# A Slurm of its own on this machine's loopback: a controller and N nodes, without munge and without touching the system's Slurm.
#   slurm_lab.sh start FOLDER N   prints the path of slurm.conf; jobs need SLURM_CONF=<that>
#   slurm_lab.sh stop FOLDER      ends the daemons, and every job step they left
# Needs root (slurmd starts steps as their user) and slurmctld, slurmd, slurm-client, slurm-wlm-basic-plugins.
set -euo pipefail

is_taken() {
  (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

# The first of N ports in a row that nobody listens on; labs that start together look in different places.
first_free_port() {
  local count=$1 first port
  for ((first = 21000 + $$ % 400 * 20; first < 32000; first += 20)); do
    for ((port = first; port < first + count; port++)); do
      if is_taken "$port"; then continue 2; fi
    done
    echo "$first"
    return
  done
  echo "slurm_lab.sh: no free ports" >&2
  return 1
}

write_configuration() {
  local folder=$1 nodes=$2 host port
  host=$(hostname)
  port=$(first_free_port $((nodes + 1)))
  cat > "$folder/slurm.conf" << END
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=$port
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/pids/slurmctld.pid
SlurmdPidFile=$folder/pids/slurmd.%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.%n.log
TmpFS=$folder/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,requeue_delay=1
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
PropagateResourceLimits=NONE
MpiDefault=pmix
ReturnToService=2
SlurmdTimeout=30
KillWait=5
SlurmdParameters=config_overrides
NodeName=n[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1))-$((port + nodes)) CPUs=4 RealMemory=4000
PartitionName=main Nodes=ALL Default=YES MaxTime=60
END
}

start() {
  local folder=$1 nodes=$2 node
  mkdir -p "$folder"/{state,log,pids}
  for node in $(seq "$nodes"); do mkdir -p "$folder/spool/n$node" "$folder/tmp/n$node"; done
  write_configuration "$folder" "$nodes"
  export SLURM_CONF=$folder/slurm.conf
  # Of the caller's environment they need nothing, and what watches the caller's processes would take them for its own.
  local clean=(env -i "PATH=$PATH" "SLURM_CONF=$SLURM_CONF" setsid)
  "${clean[@]}" slurmctld -D > "$folder/log/slurmctld.out" 2>&1 < /dev/null &
  for node in $(seq "$nodes"); do
    "${clean[@]}" slurmd -D -N "n$node" > "$folder/log/slurmd.n$node.out" 2>&1 < /dev/null &
  done
  for _ in $(seq 150); do
    if [ "$(sinfo -h -N -t idle -o %N 2> /dev/null | sort -u | wc -l)" = "$nodes" ]; then
      echo "$SLURM_CONF"
      return
    fi
    sleep 0.1
  done
  echo "slurm_lab.sh: the nodes are not ready after 15 s:" >&2
  tail -n 5 "$folder"/log/* >&2
  stop "$folder"
  return 1
}

# Processes of the lab's daemons and steps: they alone have its configuration in their environment under these names.
lab_processes() {
  local folder=$1 process
  for process in /proc/[0-9]*; do
    case $(cat "$process/comm" 2> /dev/null) in
      slurmctld | slurmd | slurmstepd) ;;
      *) continue ;;
    esac
    if grep -qzx "SLURM_CONF=$folder/slurm.conf" "$process/environ" 2> /dev/null; then echo "${process##*/}"; fi
  done
}

stop() {
  local folder=$1 pid
  export SLURM_CONF=$folder/slurm.conf
  scancel --full --user root 2> /dev/null || true
  for pid in $(lab_processes "$folder"); do kill "$pid" 2> /dev/null || true; done
  for _ in $(seq 50); do
    if [ -z "$(lab_processes "$folder")" ]; then return; fi
    sleep 0.1
  done
  for pid in $(lab_processes "$folder"); do kill -KILL "$pid" 2> /dev/null || true; done
}

case "${1:-}" in
  start) start "$2" "${3:-2}" ;;
  stop) stop "$2" ;;
  *) echo "usage: slurm_lab.sh start FOLDER [NODES] | stop FOLDER" >&2; exit 2 ;;
esac
