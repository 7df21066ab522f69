// An HDF5 file that nobody vouches for: HDF5 runs in a sandboxed child, which may die of it; this process may
// not.
#include "io/hdf5/isolated_file.hpp"

#include <vector>

#include "tests/fuzz/memory_file.hpp"
#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

constexpr std::uint64_t kMostBytes = 65536;

void read_values(const io::h5::IsolatedFile& file, const io::h5::Node& node) {
  if (!node.element || node.bytes > kMostBytes || node.extents.size() > Shape::kMaxRank) return;
  Shape shape;
  for (const std::uint64_t extent : node.extents) shape.append(static_cast<std::int64_t>(extent));
  std::vector<std::byte> values(static_cast<std::size_t>(shape.count()) * size_of(*node.element));
  file.read(node, {}, shape, values);
}

void read(Input input) {
  const MemoryFile memory(input);
  const io::h5::IsolatedFile file(memory.path());
  for (const io::h5::Node& node : file.nodes()) attempt([&] { read_values(file, node); });
}

}  // namespace

const Target foreign_hdf5{"foreign_hdf5", read, {16 << 20, 256}};

}  // namespace caravan::fuzz
