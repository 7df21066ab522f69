#pragma once

#include "caravan/abi.h"

// Every key of a site file (slurm/sites).
namespace caravan::jobs {

inline constexpr caravan_param kSiteParams[] = {
    {"description", "string", "", "", "", "For people."},
    {"partition", "string list", "null", "", "",
     "Of Slurm; of several the job takes the first with room; null: the default one."},
    {"account", "string", "null", "", "", "Who pays."},
    {"qos", "string", "null", "", "", "Quality of service."},
    {"reservation", "string", "null", "", "", "Nodes that are kept for you."},
    {"constraint", "string", "null", "", "", "Features of the nodes."},
    {"memory", "string", "null", "", "", "Of each node, e.g. 64G; 0: all of it; null: what Slurm gives."},
    {"exclusive", "bool", "true", "", "", "Whole nodes."},
    {"time", "string", "01:00:00", "", "",
     "Limit where --time does not say: HH:MM:SS, D-HH:MM:SS, or minutes."},
    {"stop_before_limit", "int", "120", "s", "[10, 36000]",
     "How long before the limit a run is asked to save and leave: two steps and a checkpoint."},
    {"gpus_per_node", "int", "0", "GPUs", "[0, 64]", "Above 0: the GPU template, one rank a GPU."},
    {"gres", "string list", "null", "", "",
     "Other resources of each node, such as nvme:1; GPUs of a type, as gpu:h100:4, stand here in place of "
     "gpus_per_node."},
    {"tasks_per_node", "int", "-1", "ranks", "[-1, 4096]", "Ranks of a node; -1: one a GPU, or one."},
    {"cpus_per_task", "int", "1", "cores", "[1, 4096]", "Cores of a rank."},
    {"launcher", "srun|mpirun", "srun", "", "",
     "What starts the ranks. Only srun's hear of a preemption in time to save."},
    {"mpi", "string", "pmix", "", "", "Of srun --mpi (srun --mpi=list)."},
    {"modules", "string list", "null", "", "", "Environment modules to load, in order."},
    {"binary", "string", "null", "", "",
     "The executable on the nodes; null: this one, or `caravan` of the container."},
    {"container", "map", "null", "", "", "Where caravan is in a container image."},
    {"environment", "map", "null", "", "", "Variables of the ranks, each a text."},
    {"setup", "string list", "null", "", "",
     "Lines of bash that the batch script runs first, before modules are loaded."},
    {"sbatch_options", "string list", "null", "", "",
     "Further options of sbatch, each --name or --name=value."},
    {"srun_options", "string list", "null", "", "",
     "Further options of srun, after those of the batch script."},
    {"mail", "map", "null", "", "", "When Slurm writes mails, and to whom."},
    {"max_restarts", "int", "20", "", ">= 0", "Restarts of a job; then it ends with 93."},
    {"max_idle_restarts", "int", "1", "", ">= 1",
     "Restarts in a row that save no new checkpoint; then it ends with 93."},
    {"node_failures", "int", "3", "", ">= 1",
     "Failures of a run on a node from which on the log warns of it."},
};

inline constexpr caravan_param kContainerParams[] = {
    {"kind", "pyxis|apptainer", nullptr, "", "",
     "pyxis: options of srun; apptainer: starts inside each rank."},
    {"image", "string", nullptr, "", "", "The image, as the container's tool names it."},
    {"mounts", "string list", "null", "", "", "HOST:INSIDE of each folder to see inside."},
};

inline constexpr caravan_param kMailParams[] = {
    {"type", "string list", nullptr, "", "",
     "BEGIN, END, FAIL, REQUEUE, TIME_LIMIT_80 and other words of sbatch --mail-type."},
    {"address", "string", "null", "", "", "null: the account that submits."},
};

}  // namespace caravan::jobs
