#pragma once

#include <string>
#include <vector>

#include "jobs/submit/submission.hpp"

namespace caravan::jobs {

/// Names of this process's variables that sbatch, and so the job, does not get: facts of the allocation and
/// of the MPI start that this shell runs in, which the job would take for its own. How to reach Slurm stays.
std::vector<std::string> withheld_variables();

/// Slurm says yes to the submission's resources, without taking it (sbatch --test-only). ConfigError with
/// Slurm's reason, or when there is no sbatch.
void check_with_slurm(const Submission& submission);

/// The ids of the jobs, one a link of the chain. Error with sbatch's code when it refuses; links before it
/// stay.
std::vector<std::string> submit(const Submission& submission);

}  // namespace caravan::jobs
