// A safetensors file: all that its header says, the values of small tensors, and its names as a model's
// weights.
#include "io/safetensors/reader.hpp"

#include <vector>

#include "io/hf/hf_source.hpp"
#include "tests/fuzz/memory_file.hpp"
#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

constexpr std::uint64_t kMostValues = 4096;

void read_values(const io::SafetensorsFile& file, const io::SafetensorsInfo& info) {
  attempt([&] { file.place(info.name); });
  if (info.count() > kMostValues) return;
  attempt([&] { file.read_as_f32(info.name); });
  attempt([&] { file.read_as_i64(info.name); });
}

void read_weights(const std::string& path) {
  const io::HfSource source(path);
  for (const std::string& name : source.names()) {
    attempt([&] {
      const Shape shape = source.shape(name);
      std::vector<float> values(static_cast<std::size_t>(shape.count()));
      source.read(name, TensorView(values.data(), DType::f32, shape));
    });
  }
}

void read(Input input) {
  const MemoryFile memory(input);
  const io::SafetensorsFile file(memory.path());
  for (const io::SafetensorsInfo& info : file.tensors()) read_values(file, info);
  attempt([&] { read_weights(memory.path()); });
}

}  // namespace

const Target safetensors{"safetensors", read, {1 << 20, 128}};

}  // namespace caravan::fuzz
