// manifest.json of a checkpoint, as it stands and with its digest made right, and one file's record.
#include "io/checkpoint/manifest.hpp"

#include <nlohmann/json.hpp>
#include <optional>

#include "io/checkpoint/block_reader.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/stored_tensor.hpp"
#include "tests/fuzz/sealed_manifest.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::fuzz {
namespace {

io::Manifest read_text(const std::string& text) {
  const test::TemporaryFolder folder;
  test::spill(folder.file(io::kManifestFile), text);
  return io::read_manifest(folder.path());
}

void read(Input input) {
  const std::string text(text_of(input));
  attempt([&] { io::to_text(io::file_record_from(text)); });
  attempt([&] { read_text(text); });
  const io::Manifest manifest = read_text(sealed_manifest(text));
  attempt([&] { io::BlockReader("/nowhere", manifest, io::Through::page_cache); });
  io::index_of(manifest);
}

}  // namespace

const Target manifest{"manifest", read, {1 << 20, 256}};

}  // namespace caravan::fuzz
