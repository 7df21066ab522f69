#include "io/hf/hf_source.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "io/files/convert.hpp"
#include "io/hf/config_json.hpp"

namespace caravan::io {
namespace {

constexpr std::string_view kPrefix = "language_model.";
constexpr const char *kHead = "output.weight", *kEmbedding = "tok_embeddings.weight";

bool is_tied(const std::string& path) {
  if (!std::filesystem::exists(std::filesystem::path(path) / "config.json")) return false;
  return read_hf_config(path).model.get_bool("tied_head");
}

/// A table that is computed.
bool is_left_out(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq");
}

}  // namespace

HfSource::HfSource(const std::string& folder_or_file, const std::string& tied_by) : set_(folder_or_file) {
  for (const std::string& name : set_.names()) take(name);
  if (!tied_by.empty())
    tie(tied_by + " ties the head");
  else if (is_tied(folder_or_file))
    tie(set_.path() + "/config.json: tie_word_embeddings is true");
  for (auto& [ours, pieces] : pieces_) {
    prefer_fused(pieces);
    std::sort(pieces.begin(), pieces.end(),
              [](const Piece& a, const Piece& b) { return a.placement.expert < b.placement.expert; });
    check_experts(ours, pieces);
  }
}

void HfSource::take(const std::string& hf_name) {
  const bool prefixed = hf_name.starts_with(kPrefix);
  const std::string_view bare = std::string_view(hf_name).substr(prefixed ? kPrefix.size() : 0);
  if (is_left_out(bare)) return skipped_.push_back(hf_name);
  if (is_of_vision(bare)) {
    skipped_.push_back(hf_name);
    companions_.push_back(hf_name);
    pieces_[hf_name] = {{hf_name, {hf_name, HfForm::same, {}}}};
    return;
  }
  const auto placements = placements_of(bare);
  if (placements.empty()) return unknown_.push_back(hf_name);
  if (prefixed) style_.prefix = kPrefix;
  for (const HfPlacement& placement : placements) {
    if (placement.expert) style_.experts = HfStyle::Experts::separate;
    pieces_[placement.ours].push_back({hf_name, placement});
  }
}

void HfSource::tie(const std::string& said) {
  const auto head = pieces_.find(kHead), embedding = pieces_.find(kEmbedding);
  if (head == pieces_.end()) return;
  const std::string head_name = head->second.front().hf_name;
  if (embedding == pieces_.end()) {
    warnings_.push_back(fmt::format(
        "{}, and there is {} alone; the embedding is that tensor, as in transformers", said, head_name));
    pieces_[kEmbedding] = {{head_name, {kEmbedding, HfForm::same, {}}}};
  } else if (const std::string& other = embedding->second.front().hf_name; !are_equal(head_name, other)) {
    return warnings_.push_back(fmt::format(
        "{}, but {} stands in {} with other values than {}; the head in the file is used, as in transformers",
        said, head_name, set_.file_of(head_name).path(), other));
  } else {
    skipped_.push_back(head_name);
  }
  pieces_.erase(kHead);
}

bool HfSource::are_equal(const std::string& hf_name, const std::string& other) const {
  const auto a = set_.file_of(hf_name).raw(hf_name), b = set_.file_of(other).raw(other);
  return set_.info(hf_name).element == set_.info(other).element &&
         set_.info(hf_name).extents == set_.info(other).extents &&
         std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// Transformers reads the fused tensor of all experts; those of single experts are left out beside it.
void HfSource::prefer_fused(std::vector<Piece>& pieces) {
  const auto is_single = [](const Piece& piece) { return piece.placement.expert.has_value(); };
  const auto fused = std::find_if_not(pieces.begin(), pieces.end(), is_single);
  const auto single = std::find_if(pieces.begin(), pieces.end(), is_single);
  if (fused == pieces.end() || single == pieces.end()) return;
  if (style_.experts == HfStyle::Experts::separate)  // the first of many
    warnings_.push_back(
        fmt::format("{} has experts in both layouts, such as {} and {}; the first counts, as in transformers",
                    set_.path(), fused->hf_name, single->hf_name));
  style_.experts = HfStyle::Experts::fused;
  for (const Piece& piece : pieces)
    if (is_single(piece)) skipped_.push_back(piece.hf_name);
  std::erase_if(pieces, is_single);
}

/// Either one tensor, or experts 0 to E-1 once each and of one shape.
void HfSource::check_experts(const std::string& ours, const std::vector<Piece>& pieces) const {
  const SafetensorsInfo& first = set_.info(pieces.front().hf_name);
  if (!pieces.front().placement.expert) {
    CARAVAN_CHECK(pieces.size() == 1, IoError,
                  fmt::format("{} stands twice in {}: {} and {}", ours, set_.path(), pieces[0].hf_name,
                              pieces[1].hf_name));
    const bool halves = pieces.front().placement.form == HfForm::gate_half ||
                        pieces.front().placement.form == HfForm::up_half;
    const bool matrix = pieces.front().placement.form == HfForm::same || first.extents.size() == 3;
    CARAVAN_CHECK(matrix && (!halves || first.extents[2] % 2 == 0), IoError,
                  fmt::format("{} in {} has shape [{}] ([experts, in, {}out] is needed)", first.name,
                              set_.path(), fmt::join(first.extents, ", "), halves ? "2 x " : ""));
    return;
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const SafetensorsInfo& info = set_.info(pieces[i].hf_name);
    CARAVAN_CHECK(pieces[i].placement.expert == static_cast<std::int64_t>(i), IoError,
                  fmt::format("{} lacks expert {} of {}", set_.path(), i, ours));
    CARAVAN_CHECK(info.extents == first.extents && info.extents.size() == 2, IoError,
                  fmt::format("{} in {} has shape [{}] (all experts need one shape of two axes)", info.name,
                              set_.path(), fmt::join(info.extents, ", ")));
  }
}

std::string HfSource::description() const {
  return fmt::format("Hugging Face weights {}", set_.path());
}

std::vector<std::string> HfSource::names() const {
  std::vector<std::string> names = unknown_;
  for (const auto& [ours, pieces] : pieces_)
    if (!std::binary_search(companions_.begin(), companions_.end(), ours)) names.push_back(ours);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> HfSource::warnings() const {
  std::vector<std::string> all = set_.warnings();
  all.insert(all.end(), warnings_.begin(), warnings_.end());
  return all;
}

std::vector<NamedShape> HfSource::stored_as(const NamedShape& ours) const {
  std::vector<NamedShape> stored;
  for (const HfPiece& piece : hf_pieces(ours.name, ours.shape, style_))
    stored.push_back({piece.name, piece.shape});
  if (stored.empty()) stored.push_back(ours);
  return stored;
}

const std::vector<HfSource::Piece>& HfSource::pieces_of(const std::string& name) const {
  const auto found = pieces_.find(name);
  CARAVAN_CHECK(found != pieces_.end(), IoError, fmt::format("{} has no tensor {}", description(), name));
  return found->second;
}

Shape HfSource::shape(const std::string& name) const {
  const auto& pieces = pieces_of(name);
  Shape shape = place(pieces.front()).shape;
  if (pieces.front().placement.expert) shape.set(0, static_cast<std::int64_t>(pieces.size()));
  return shape;
}

/// Of experts one by one, the widest.
DType HfSource::dtype(const std::string& name) const {
  const auto& pieces = pieces_of(name);
  DType dtype = place(pieces.front()).dtype;
  for (const Piece& piece : pieces) dtype = wider(dtype, place(piece).dtype);
  return dtype;
}

void HfSource::read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                           int threads) const {
  const auto& pieces = pieces_of(name);
  const auto block = [&](const Piece& piece, TensorView from, const TensorView& part, int first_axis) {
    for (int axis = first_axis; axis < part.shape.rank(); ++axis) {
      const std::int64_t begin = origin[static_cast<std::size_t>(axis)];
      from = from.slice(axis, begin, begin + part.extent(axis));
    }
    set_.file_of(piece.hf_name).read_place(from, part, threads);
  };
  if (!pieces.front().placement.expert) return block(pieces.front(), place(pieces.front()), to, 0);
  for (std::int64_t row = 0; row < to.extent(0); ++row) {
    const Piece& piece = pieces[static_cast<std::size_t>(origin[0] + row)];
    block(piece, place(piece), to.rows(row, row + 1), 1);
  }
}

}  // namespace caravan::io
