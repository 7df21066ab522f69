#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "io/hdf5/h5_file.hpp"
#include "io/hdf5/node.hpp"

namespace caravan::io::h5 {

/// Visits every group and dataset of a file, in order of name within their group, some at a time. The root
/// comes first, where it has attributes. IoError for what a file may use to reach outside itself or to
/// exhaust its reader: soft and external links, external and virtual storage, unknown filters, a group inside
/// itself, more than 16 levels, more than a million objects. Borrows the file.
class Walk {
 public:
  static constexpr std::size_t kMostNodes = 1'000'000;

  explicit Walk(const H5File& file);

  /// Up to `most` further objects, fewer when much is written beside them; none when all have been visited.
  std::vector<Node> next(std::size_t most);

 private:
  /// A group whose links are being visited.
  struct Level {
    Handle group;
    std::string path;  ///< "" for the root
    haddr_t address;
    std::vector<std::string> names;
    std::size_t visited = 0;
  };

  void enter(Handle group, const std::string& path);
  void refuse_cycle(haddr_t address, const std::string& path) const;
  Node visit(const std::string& name);

  const H5File& file_;
  std::vector<Level> levels_;
  std::size_t num_links_ = 0;
  bool has_begun_ = false;
};

/// All of them.
std::vector<Node> walk(const H5File& file);

}  // namespace caravan::io::h5
