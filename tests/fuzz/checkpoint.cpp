// A checkpoint of a forger, whose digests are all right. The input is the manifest's body (empty: a sound
// one), a zero byte, and patches of a sound checkpoint.h5: three bytes of offset and the new byte each.
#include "io/checkpoint/reader.hpp"

#include <nlohmann/json.hpp>

#include "io/checkpoint/layout.hpp"
#include "tests/fuzz/sealed_manifest.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::fuzz {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMostValues = 4096;

struct Sound {
  std::string file, manifest;
};

const Sound& sound() {
  static const Sound kSound = [] {
    const test::TemporaryFolder folder;
    const std::string path = test::Sample(7).write(folder.path());
    const auto whole = json::parse(test::slurp(path + "/manifest.json"));
    return Sound{test::slurp(path + "/checkpoint.h5"), whole.at("manifest").dump()};
  }();
  return kSound;
}

std::string patched(std::string file, std::string_view patches) {
  for (; patches.size() >= 4; patches.remove_prefix(4)) {
    std::size_t at = 0;
    for (int i = 0; i < 3; ++i)
      at = at << 8 | static_cast<unsigned char>(patches[static_cast<std::size_t>(i)]);
    file[at % file.size()] = patches[3];
  }
  return file;
}

/// The digests of one file's record, made to fit the file. Leaves alone what is no record.
void seal_record(json& record, const std::string& folder, const std::string& file) {
  io::FileRecord read = io::file_record_from(record.dump());
  read.bytes = file.size();
  for (io::PieceRecord& piece : read.pieces) {
    if (piece.blocks.size() != 1 || piece.end() > file.size()) continue;
    piece.blocks[0] =
        io::digest_of(std::as_bytes(std::span(file)).subspan(piece.offset, piece.piece.bytes()));
  }
  attempt([&] { read.structure = io::structure_digest(folder, read); });
  record = json::parse(io::to_text(read));
}

std::string sealed_body(const std::string& text, const std::string& folder, const std::string& file) {
  json body = json::parse(text, nullptr, false);
  if (!body.is_object() || !body.contains("files") || !body["files"].is_array()) return text;
  for (json& record : body["files"]) {
    try {
      seal_record(record, folder, file);
    } catch (const std::exception&) {  // the reader's own business, below
    }
  }
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

void use(const io::CheckpointReader& reader) {
  attempt([&] { reader.job_yaml(); });
  attempt([&] {
    for (const std::string& name : reader.attribute_names()) attempt([&] { reader.attribute(name); });
  });
  for (const io::TensorRecord& tensor : reader.tensors()) {
    attempt([&] {
      if (tensor.bytes() > kMostValues * sizeof(float)) return;
      std::vector<std::byte> values(tensor.bytes());
      reader.read(tensor.name, TensorView(values.data(), tensor.dtype, tensor.shape));
    });
  }
}

void read(Input input) {
  const std::string_view text = text_of(input);
  const std::size_t end = std::min(text.find('\0'), text.size());
  const test::TemporaryFolder folder;
  const std::string file = patched(sound().file, text.substr(std::min(end + 1, text.size())));
  test::spill(folder.file(io::kCheckpointFile), file);
  const std::string body = end == 0 ? sound().manifest : std::string(text.substr(0, end));
  test::spill(folder.file(io::kManifestFile), sealed_manifest(sealed_body(body, folder.path(), file)));
  use(io::CheckpointReader::open(folder.path()));
}

}  // namespace

// The sound file counts as input.
const Target checkpoint{"checkpoint", read, {16 << 20, 256}};

}  // namespace caravan::fuzz
