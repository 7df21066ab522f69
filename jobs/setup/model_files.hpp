#pragma once

#include <string>
#include <vector>

#include "io/files/output_target.hpp"

namespace caravan::jobs {

/// Adds the files that a verb reads when it is given the model, checkpoint, run or file `path`; messages call
/// them `name`. What else lies in its folders (pictures, outputs of former calls) is not among them.
void add_model_files(const std::string& name, const std::string& path, std::vector<io::NamedFile>& files);

}  // namespace caravan::jobs
