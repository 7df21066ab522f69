// tokens-manifest.json of token shards, as it stands and with its digest made right.
#include "io/data/shard_manifest.hpp"

#include "tests/fuzz/sealed_manifest.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::fuzz {
namespace {

io::ShardManifest read_text(const std::string& text) {
  const test::TemporaryFolder folder;
  test::spill(folder.file(io::kShardManifestFile), text);
  return io::read_shard_manifest(folder.path());
}

void read(Input input) {
  const std::string text(text_of(input));
  attempt([&] { read_text(text); });
  read_text(sealed_manifest(text));
}

}  // namespace

const Target shard_manifest{"shard_manifest", read, {1 << 20, 256}};

}  // namespace caravan::fuzz
