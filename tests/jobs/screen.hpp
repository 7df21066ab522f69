#pragma once

#include <map>
#include <string>
#include <vector>

namespace caravan::test {

/// What a user sees who runs the executable on a terminal of 100 columns: both streams, as they come.
struct Screen {
  std::string text;
  int code = -1;
};

/// `rows`: of the terminal. PAGER, LESS and NO_COLOR are unset unless `variables` set them.
Screen on_terminal(std::vector<std::string> arguments, unsigned short rows,
                   const std::map<std::string, std::string>& variables = {});

}  // namespace caravan::test
