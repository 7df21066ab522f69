#include "jobs/drawing/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>

namespace caravan::jobs {
namespace {

/// Zeros when the terminal does not say.
winsize size_of_terminal() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
  return size;
}

}  // namespace

TextStyle style_of_standard_output() {
  if (::isatty(STDOUT_FILENO) == 0) return {160, Ink::plain};
  const int columns = size_of_terminal().ws_col;
  const char* no_colour = std::getenv("NO_COLOR");
  return {columns > 0 ? columns : 120, no_colour && *no_colour ? Ink::plain : Ink::colour};
}

int terminal_rows() {
  if (::isatty(STDOUT_FILENO) == 0) return 0;
  const int rows = size_of_terminal().ws_row;
  return rows > 0 ? rows : 24;
}

/// By the variables that POSIX names, the last of them first: setlocale knows only what is installed.
bool locale_is_utf8() {
  std::string locale;
  for (const char* variable : {"LANG", "LC_CTYPE", "LC_ALL"}) {
    const char* value = std::getenv(variable);
    if (value && *value) locale = value;
  }
  std::transform(locale.begin(), locale.end(), locale.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
}

}  // namespace caravan::jobs
