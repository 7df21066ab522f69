# shellcheck shell=bash
# What a batch script does around one start of a run: reads its settings, launches the ranks, passes signals on, and decides from
# the exit code (docs/exit-codes.md) whether Slurm starts the job again. Sourced by gpu.sbatch and cpu.sbatch.
# Settings stand in run.env, every value in single quotes: none of them is ever code, here or in an argument.

say() {
  printf '%s caravan batch: %s\n' "$(date -u +%H:%M:%S)" "$*" >&2
}

# read_settings RUN.ENV: its variables, those of the array task, and defaults for what a file written by hand leaves out.
read_settings() {
  settings_folder=$(dirname -- "$1")
  local task="$settings_folder/task-${SLURM_ARRAY_TASK_ID:-none}.env"
  # shellcheck source=/dev/null
  . "$settings_folder/${1##*/}"  # without a folder before it, bash would look in PATH
  # shellcheck source=/dev/null
  if [ -f "$task" ]; then . "$task"; fi
  : "${CARAVAN_JOB:?run.env must name the job file}" "${CARAVAN_RUN:?run.env must name the output folder of the job}"
  : "${CARAVAN_BINARY:=caravan}" "${CARAVAN_LAUNCHER:=srun}" "${CARAVAN_MPI:=pmix}" "${CARAVAN_CHAIN:=no}"
  : "${CARAVAN_MAX_RESTARTS:=20}" "${CARAVAN_MAX_IDLE_RESTARTS:=1}" "${CARAVAN_NODE_FAILURES:=3}"
  : "${CARAVAN_CONTAINER:=none}" "${CARAVAN_IMAGE:=}"
  if [ -z "${CARAVAN_MODULES+set}" ]; then CARAVAN_MODULES=(); fi
  if [ -z "${CARAVAN_MOUNTS+set}" ]; then CARAVAN_MOUNTS=(); fi
  if [ -z "${CARAVAN_SRUN_OPTIONS+set}" ]; then CARAVAN_SRUN_OPTIONS=(); fi
}

# The site's own lines of shell (setup.sh beside run.env). Files that they read often look at variables that are not set.
run_setup() {
  if [ ! -f "$settings_folder/setup.sh" ]; then return; fi
  trap 'say "a line of the site'\''s setup ended with $?: $BASH_COMMAND"; exit 2' ERR
  set -E +u
  # shellcheck source=/dev/null
  . "$settings_folder/setup.sh"
  set +E -u
  trap - ERR
}

load_modules() {
  if ((${#CARAVAN_MODULES[@]} == 0)); then return; fi
  if ! declare -F module > /dev/null && [ -f "${MODULESHOME:-}/init/bash" ]; then
    # shellcheck source=/dev/null
    . "$MODULESHOME/init/bash"
  fi
  if ! declare -F module > /dev/null; then
    say "no 'module' command (the site wants ${CARAVAN_MODULES[*]}). Is MODULESHOME set?"
    exit 2
  fi
  module load "${CARAVAN_MODULES[@]}"
}

# The name of the checkpoint folder that was written last. Not the highest name: a folder that somebody renamed or made would hide
# all progress.
newest_checkpoint() {
  local path newest=
  for path in "$CARAVAN_RUN"/checkpoints/step-*; do
    if [[ ! ${path##*/} =~ ^step-[0-9]+$ ]]; then continue; fi
    if [ -z "$newest" ] || [ "$path" -nt "$newest" ]; then newest=$path; fi
  done
  newest=${newest##*/}
  echo "${newest:-none}"
}

# How many of the last starts were restarts that saved nothing. attempts.txt: time, job, restart, newest checkpoint at the start; a line
# more for a start that died before its first step.
idle_restarts() {
  if [ ! -f "$CARAVAN_RUN/attempts.txt" ]; then echo 0; return; fi
  awk -v now="$1" '$3 >= 1 && $4 == now { idle++; next } { idle = 0 } END { print idle + 0 }' "$CARAVAN_RUN/attempts.txt"
}

stop_without_progress() {
  local idle
  idle=$(idle_restarts "$1")
  if ((idle < CARAVAN_MAX_IDLE_RESTARTS)); then return; fi
  say "$idle restart(s) in a row without a new checkpoint (newest: $1): not started again"
  exit 93
}

# failed-nodes.txt: time, node, what happened. caravan adds lines too.
report_failing_nodes() {
  local node count
  if [ ! -f "$CARAVAN_RUN/failed-nodes.txt" ]; then return; fi
  while IFS= read -r node; do
    count=$(awk -v node="$node" '$2 == node { lines++ } END { print lines + 0 }' "$CARAVAN_RUN/failed-nodes.txt")
    if ((count < CARAVAN_NODE_FAILURES)); then continue; fi
    say "node $node took part in $count failures of this run (failed-nodes.txt). Leave it out with: caravan submit --exclude $node?"
  done < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
}

note_nodes() {
  local node
  while IFS= read -r node; do
    printf '%s %s part of a start that ended with %s\n' "$(date -u +%FT%TZ)" "$node" "$1" >> "$CARAVAN_RUN/failed-nodes.txt"
  done < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
}

begin_attempt() {
  restart=${SLURM_RESTART_COUNT:-0}
  mkdir -p "$CARAVAN_RUN"
  local newest
  newest=$(newest_checkpoint)
  say "job $(own_id), restart $restart, on $SLURM_JOB_NODELIST, newest checkpoint: $newest"
  if ((restart > 0)); then stop_without_progress "$newest"; fi
  printf '%s %s %s %s\n' "$(date -u +%FT%TZ)" "$(own_id)" "$restart" "$newest" >> "$CARAVAN_RUN/attempts.txt"
  report_failing_nodes
}

# mpirun knows nothing of --cpus-per-task: a rank of several cores, bound to one, would have all its threads there.
mpirun_binding() {
  if ((${SLURM_CPUS_PER_TASK:-1} > 1)); then echo none; else echo core:overload-allowed; fi
}

# The command of all ranks, in `command`.
build_command() {
  local mounts
  mounts=$(IFS=,; echo "${CARAVAN_MOUNTS[*]-}")
  case $CARAVAN_LAUNCHER in
    srun) command=(srun "--mpi=$CARAVAN_MPI" --kill-on-bad-exit=1 --export=ALL "$@" "${CARAVAN_SRUN_OPTIONS[@]}") ;;
    mpirun)
      command=(mpirun -n "$SLURM_NTASKS" --bind-to "$(mpirun_binding)")
      # It passes scancel's TERM on and kills so many seconds later (1 by default), too soon for a save.
      export OMPI_MCA_odls_base_sigkill_timeout="${OMPI_MCA_odls_base_sigkill_timeout:-15}"
      ;;
    *) say "unknown launcher '$CARAVAN_LAUNCHER' (srun or mpirun)"; exit 2 ;;
  esac
  case $CARAVAN_CONTAINER in
    none) ;;
    pyxis) command+=("--container-image=$CARAVAN_IMAGE" ${mounts:+"--container-mounts=$mounts"}) ;;
    apptainer) command+=(apptainer exec ${SLURM_GPUS_ON_NODE:+--nv} ${mounts:+--bind "$mounts"} "$CARAVAN_IMAGE") ;;
    *) say "unknown container '$CARAVAN_CONTAINER' (none, pyxis or apptainer)"; exit 2 ;;
  esac
  command+=("$CARAVAN_BINARY" train "$CARAVAN_JOB")
}

# Runs `command` in the background, because a shell that waits in the foreground hears no signal. USR1 (Slurm, before the time
# limit) goes to the launcher, which hands it to every rank. TERM (scancel) reaches the ranks by itself.
launch() {
  cancelled=no code=0
  trap 'asked=yes cancelled=yes' TERM
  "${command[@]}" &
  local launcher=$!
  trap 'asked=yes; say "USR1: asking the ranks to save and leave"; kill -USR1 "$launcher" || :' USR1
  if [ "$asked" = yes ] && [ "$cancelled" = no ]; then kill -USR1 "$launcher" || :; fi  # it came while they were started
  while kill -0 "$launcher" 2> /dev/null; do wait "$launcher" || :; done
  wait "$launcher" || code=$?
  if ((code < 0)); then code=138; fi # bash loses the code of a launcher that ends just as the signal comes
  trap - USR1 TERM
}

# What Slurm calls this job alone. The id of an array's last task is the id of the array, so that scontrol would take it for
# all tasks.
own_id() {
  if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then echo "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"; else echo "$SLURM_JOB_ID"; fi
}

# Gives the job back to Slurm, which ends this script when it takes it: a script that ended first would be recorded as failed
# and stay ended.
requeue() {
  if ((restart >= CARAVAN_MAX_RESTARTS)); then
    say "$1; that was restart $restart of $CARAVAN_MAX_RESTARTS: not started again"
    exit 93
  fi
  say "$1: to be started again"
  if scontrol requeue "$(own_id)"; then sleep 600; fi
  exit "$code"
}

# Whether a rank died before the first step of a restart. The same program and job have trained before, so that the fault may be of a node
# or of the network; twice in a row it is not.
died_at_start() {
  local heartbeat="$CARAVAN_RUN/heartbeat.json"  # none: it has never trained, or does not say so
  if ((restart == 0)) || [ ! -e "$heartbeat" ] || [ "$heartbeat" -nt "$CARAVAN_RUN/attempts.txt" ]; then return 1; fi
  [[ $(tail -n 2 "$CARAVAN_RUN/attempts.txt" | head -n 1) != *" died-at-start" ]]
}

# After a start that saved nothing it would not be started again, if it were not noted.
start_after_death() {
  note_nodes "$code"
  printf '%s %s %s died-at-start\n' "$(date -u +%FT%TZ)" "$(own_id)" "$restart" >> "$CARAVAN_RUN/attempts.txt"
  requeue "a rank died of signal $((code - 128)) before the first step, although the run has begun before"
}

own_fault() {
  say "exit code $code, the run's own fault: not started again"
  if ((code > 128)); then note_nodes "$code"; fi
  exit "$code"
}

finish() {
  local why
  case $code in
    0) say "done"; exit 0 ;;
    75) why="asked to leave, saved" ;;
    124) why="ended by the watchdog" ;;
    137) why="a rank was killed (out of memory, or its node was lost)" ;;
    138 | 143)  # of a launcher or ranks that had hardly begun: later they hear the signal and leave with 75
      if [ "$asked" = no ]; then own_fault; fi
      why="asked to leave before it could hear it" ;;
    134 | 135 | 136 | 139)
      if [ "$cancelled" = yes ] || ! died_at_start; then own_fault; fi
      start_after_death ;;
    *) own_fault ;;
  esac
  if ((code == 137)); then note_nodes "$code"; fi
  if [ "$cancelled" = yes ]; then say "$why; cancelled: not started again"; exit "$code"; fi
  if ((restart > 0)); then stop_without_progress "$(newest_checkpoint)"; fi
  if [ "$CARAVAN_CHAIN" = yes ] && ((code == 75)); then say "$why: the next job of the chain goes on"; exit 0; fi
  requeue "$why"
}

# run_job LAUNCH-OPTION…: one start of the run; does not return.
run_job() {
  asked=no
  trap 'asked=yes' USR1  # until there are ranks to hear it
  run_setup
  load_modules
  begin_attempt
  build_command "$@"
  launch
  finish
}
