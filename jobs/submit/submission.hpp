#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "jobs/submit/site.hpp"

namespace caravan::jobs {

/// How much of a job is checked where it is submitted.
enum class CheckScope {
  all,    ///< what train would refuse
  layout  ///< ranks and batch: data or plugins are on the nodes alone
};

/// What `caravan submit` is asked for.
struct SubmitRequest {
  std::string job;
  std::vector<std::string> overrides;  ///< of the job
  std::int64_t nodes = 1;
  std::string time;                  ///< "": the site's
  std::vector<std::string> sweep;    ///< key=value,value…
  std::int64_t at_once = 0;          ///< array tasks that run together; 0: all
  std::int64_t chain = 1;            ///< jobs, each going on where the one before stopped
  std::string after;                 ///< job id, or kind:id
  std::vector<std::string> exclude;  ///< nodes
  CheckScope check = CheckScope::all;
};

/// Everything that a submission writes and hands to sbatch, nothing of it done yet.
struct Submission {
  std::string folder;                                      ///< absolute, of its own
  std::vector<std::pair<std::string, std::string>> files;  ///< name in folder → text
  std::vector<std::string> sbatch;                         ///< program and options, the same for all links
  std::string script;                                      ///< path
  std::int64_t links = 1;
  std::string dependency;  ///< of the first; "": none
  bool is_array = false;
  std::vector<std::string> notes;  ///< what people should know: tasks, nodes that failed before

  /// The command of one link of the chain; `before`: the id of the link before, "" for the first.
  std::vector<std::string> command(std::int64_t link, const std::string& before) const;
};

/// Reads the job, checks it for the request's ranks as train would, and lays everything out. ConfigError,
/// PluginError or IoError before anything is written.
Submission plan_submission(const SubmitRequest& request, const Site& site);

/// Makes the folder and writes the files. IoError.
void write_files(const Submission& submission);
/// Removes the folder again, as far as it goes.
void remove_files(const Submission& submission) noexcept;

}  // namespace caravan::jobs
