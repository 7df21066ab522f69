// model.safetensors.index.json beside two shards.
#include <array>
#include <cstring>
#include <utility>

#include "io/hf/hf_source.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::fuzz {
namespace {

/// `header` describes `bytes` zeros.
std::string shard(const std::string& header, std::size_t bytes) {
  const std::uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file + header + std::string(bytes, '\0');
}

void read(Input input) {
  const test::TemporaryFolder folder;
  test::spill(
      folder.file("a.safetensors"),
      shard(R"({"model.embed_tokens.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 16));
  test::spill(folder.file("b.safetensors"),
              shard(R"({"model.norm.weight":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},)"
                    R"("lm_head.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[4,20]}})",
                    20));
  test::spill(folder.file("model.safetensors.index.json"), std::string(text_of(input)));
  const io::HfSource source(folder.path());
  for (const std::string& name : source.names()) source.has(name);
}

}  // namespace

const Target safetensors_index{"safetensors_index", read, {1 << 20, 256}};

}  // namespace caravan::fuzz
