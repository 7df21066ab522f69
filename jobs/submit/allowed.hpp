#pragma once

#include <string>
#include <string_view>

namespace caravan::jobs {

/// What a word that reaches Slurm, a batch script or the environment of a run may look like.
enum class WordKind {
  name,        ///< of a job, partition, account, node: letters, digits, . _ @ + -
  module,      ///< a name with /
  constraint,  ///< names joined by & | , with ( ) [ ] *
  memory,      ///< 64G
  gres,        ///< gpu:h100:4
  option,      ///< --name or --name=value
  variable,    ///< NCCL_DEBUG: a name that neither bash, Slurm nor the batch script keeps for itself
  operand,     ///< any line of UTF-8 that no program takes for an option: a path, an image
  text,        ///< any line of UTF-8: a value
};

/// `where` begins the message: file and line, or the option. ConfigError says what would be right. No word is
/// empty or longer than 4096 bytes, and none but an option or a text begins with -.
void check_word(WordKind kind, std::string_view where, std::string_view word);

}  // namespace caravan::jobs
