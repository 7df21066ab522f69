#pragma once

#include <string>
#include <vector>

namespace caravan::io {

/// Files that inputs stand for, and what is to be said about how they were found.
struct InputList {
  std::vector<std::string> files;  ///< paths, or kStandardInput
  std::vector<std::string> notes;  ///< "texts: 12 files taken, 2 skipped (1 hidden: texts/.a; …)"
  std::vector<std::string> warnings;
};

/// An input is a file; a folder, whose files are taken in order of their paths, those of its folders too,
/// without hidden ones, links to folders, and what is no regular file; a glob (* ? [a-z]), whose matches are
/// taken in order; @LIST, a file with one such input a line; or kStandardInput. What stands there under the
/// very name is never taken for a glob. IoError for what is not there, matches nothing, or is an empty
/// folder; ConfigError for standard input named twice and for lists within lists.
InputList expand_inputs(const std::vector<std::string>& inputs);

/// The lines of a list: paths, relative to the current folder as if they had been typed. IoError and
/// ConfigError as expand_inputs.
std::vector<std::string> read_input_list(const std::string& list);

}  // namespace caravan::io
