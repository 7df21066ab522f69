#include "jobs/inspect/token_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <variant>

#include "caravan/check.hpp"
#include "io/data/token_shards.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_files.hpp"
#include "jobs/inspect/foreign_tensors.hpp"
#include "jobs/inspect/number.hpp"
#include "jobs/inspect/value_stream.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

class FolderTokens final : public TokenData {
 public:
  explicit FolderTokens(const std::string& folder) : shards_(folder) {}
  std::int64_t size() const override { return shards_.size(); }
  std::span<const std::int64_t> document_starts() const override { return shards_.document_starts(); }
  void read(std::int64_t begin, std::span<std::int32_t> out) const override { shards_.read(begin, out); }
  std::string origin() const override { return "made with " + shards_.facts().tokenizer; }
  std::string tokenizer_sha256() const override { return shards_.facts().tokenizer_sha256; }

 private:
  io::TokenShards shards_;
};

/// One file, in the child that reads what nobody vouches for.
class FileTokens final : public TokenData {
 public:
  explicit FileTokens(const std::string& path) : file_(path), tokens_(row("/tokens", path)) {
    const TensorEntry& starts = row("/document_starts", path);
    CARAVAN_CHECK(starts.extents[0] <= tokens_.extents[0], IoError,
                  fmt::format("{}: more documents than tokens. Is the file damaged?", path));
    starts_.resize(static_cast<std::size_t>(starts.extents[0]));
    for_each(starts, whole_of(starts), [&](std::uint64_t i, std::int64_t start) { starts_[i] = start; });
    CARAVAN_CHECK(std::is_sorted(starts_.begin(), starts_.end()), IoError,
                  fmt::format("{}: documents do not begin one after the other. Is the file damaged?", path));
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(tokens_.extents[0]); }
  std::span<const std::int64_t> document_starts() const override { return starts_; }
  void read(std::int64_t begin, std::span<std::int32_t> out) const override {
    Box box = whole_of(tokens_);
    box.origin[0] = begin;
    box.extents.set(0, static_cast<std::int64_t>(out.size()));
    for_each(tokens_, box, [&](std::uint64_t i, std::int64_t id) {
      CARAVAN_CHECK(
          id >= 0 && id <= INT32_MAX, IoError,
          fmt::format("token {} has the id {} (ids are 0 to 2^31 - 1). Is the file damaged?", i, id));
      out[i] = static_cast<std::int32_t>(id);
    });
  }
  std::string origin() const override {
    const std::string made = text("tokenizer");
    return made.empty() ? "" : "made with " + made;
  }
  std::string tokenizer_sha256() const override { return text("tokenizer_sha256"); }

 private:
  const TensorEntry& row(const std::string& name, const std::string& path) const {
    for (const TensorEntry& tensor : file_.tensors()) {
      const bool is_row =
          tensor.name == name && tensor.element && !is_float(*tensor.element) && tensor.extents.size() == 1;
      if (is_row) return tensor;
    }
    throw IoError(fmt::format("{} is no token shard (it has no row of whole numbers {})", path, name));
  }

  template <class Action>
  void for_each(const TensorEntry& tensor, const Box& box, const Action& action) const {
    ValueStream(file_).for_each_stored(tensor, box, [&](const Block& block, std::uint64_t first) {
      for (std::int64_t i = 0; i < block.count(); ++i) {
        const Number number = number_at(block, static_cast<std::uint64_t>(i));
        const auto* id = std::get_if<std::int64_t>(&number);
        action(first + static_cast<std::uint64_t>(i), id ? *id : -1);
      }
    });
  }

  std::string text(std::string_view name) const {
    for (const io::h5::Node& node : file_.objects()) {
      if (node.path != "/") continue;
      for (const io::h5::Attribute& attribute : node.attributes)
        if (attribute.name == name && attribute.value.is_string()) return attribute.value.get<std::string>();
    }
    return "";
  }

  ForeignTensors file_;
  const TensorEntry& tokens_;
  std::vector<std::int64_t> starts_;
};

bool holds_tokenizer(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "tokenizer.json", ignored) || fs::exists(folder / "tokenizer.model", ignored);
}

}  // namespace

std::unique_ptr<TokenData> open_tokens(const std::string& path) {
  if (fs::is_directory(path)) return std::make_unique<FolderTokens>(path);
  return std::make_unique<FileTokens>(path);
}

TokenizerBeside tokenizer_beside(const std::string& path, const TokenData& data) {
  const fs::path folder = fs::is_directory(path) ? fs::path(path) : fs::absolute(path).parent_path();
  if (!holds_tokenizer(folder)) return {nullptr, "no tokenizer lies beside them"};
  const std::string file = io::tokenizer_file(folder.string()), wanted = data.tokenizer_sha256();
  if (wanted.empty()) return {nullptr, "they do not say which tokenizer made them"};
  const std::string found = io::tokenizer_sha256(file);
  if (found != wanted)
    return {nullptr, fmt::format("{} is another tokenizer than theirs (SHA-256 {:.12} and {:.12})", file,
                                 found, wanted)};
  return {io::load_tokenizer(file), ""};
}

}  // namespace caravan::jobs
