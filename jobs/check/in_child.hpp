#pragma once

#include <functional>
#include <string>

namespace caravan::jobs {

/// Does it in a child process, so that a crash is a finding and not the end of the check. What went wrong:
/// the message of an exception, "it ends with Segmentation fault"; empty where nothing did. Only before this
/// process has started threads, of which the child has none. IoError where no child can be made.
std::string problem_in_child(const std::function<void()>& action);

}  // namespace caravan::jobs
