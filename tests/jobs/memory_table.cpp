#include "tests/jobs/memory_table.hpp"

#include <cmath>
#include <cstdio>
#include <fstream>

namespace caravan::test {

double planned_bytes(const std::string& text, const std::string& item) {
  const std::string line = "\n  " + item + " ";
  const std::size_t at = text.find(line, text.find("# memory of rank"));
  if (at == std::string::npos) return NAN;
  char unit[8] = "";
  double value = 0;
  if (std::sscanf(text.c_str() + at + line.size(), "%lf %7s", &value, unit) != 2) return NAN;
  const std::string name = unit;
  return value * (name == "GiB" ? 1 << 30 : name == "MiB" ? 1 << 20 : name == "KiB" ? 1 << 10 : 1);
}

double peak_bytes(int process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    double kilobytes = 0;
    if (std::sscanf(line.c_str(), "VmHWM: %lf kB", &kilobytes) == 1) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace caravan::test
