#include "io/files/host_name.hpp"

#include <unistd.h>

#include <array>

namespace caravan::io {

std::string host_name(std::string_view otherwise) {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return std::string(otherwise);
  return name.data();
}

}  // namespace caravan::io
