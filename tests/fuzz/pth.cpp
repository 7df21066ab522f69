// A file of torch.save: its archive, its pickle, and the values of small tensors.
#include "io/meta/pth_file.hpp"

#include <vector>

#include "tests/fuzz/memory_file.hpp"
#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

constexpr std::int64_t kMostValues = 4096;

void read(Input input) {
  const MemoryFile memory(input);
  const io::PthFile file(memory.path());
  for (const std::string& name : file.names()) {
    const TensorView& place = file.place(name);
    if (place.count() > kMostValues) continue;
    attempt([&] {
      std::vector<float> values(static_cast<std::size_t>(place.count()));
      file.read_place(place, TensorView(values.data(), DType::f32, place.shape));
    });
  }
}

}  // namespace

const Target pth{"pth", read, {1 << 20, 1024}};

}  // namespace caravan::fuzz
