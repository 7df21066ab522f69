#include "io/meta/meta_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "caravan/check.hpp"
#include "io/files/axes.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr int kMostRanks = 1024;

std::string file_of_rank(const std::string& folder, int rank) {
  return (fs::path(folder) / fmt::format("consolidated.{:02d}.pth", rank)).string();
}

/// Axis 0 as two, of which the first has `first` indices.
TensorView split_axis(const TensorView& view, std::int64_t first) {
  TensorView split = view;
  split.shape = Shape{first, view.extent(0) / first, view.extent(1)};
  split.strides = {view.stride(0) * split.shape[1], view.stride(0), view.stride(1), 0};
  return split;
}

/// One more than the largest number of a file; 0 where there is none.
int files_up_to_last(const std::string& folder) {
  constexpr std::string_view kBegin = "consolidated.";
  int files = 0;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    int rank = -1;
    if (name.starts_with(kBegin))
      std::from_chars(name.data() + kBegin.size(), name.data() + name.size(), rank);
    const bool is_one = rank >= 0 && rank < kMostRanks && entry.path() == file_of_rank(folder, rank);
    if (is_one) files = std::max(files, rank + 1);
  }
  return files;
}

/// Of `files` ranks each must have its file.
void refuse_missing(const std::string& folder, int files, const std::string& why) {
  std::vector<std::string> missing;
  for (int rank = 0; rank < files; ++rank)
    if (!fs::exists(file_of_rank(folder, rank)))
      missing.push_back(fmt::format("consolidated.{:02d}.pth", rank));
  CARAVAN_CHECK(missing.empty(), IoError,
                fmt::format("{} lacks {} ({}). Is it copied whole?", folder, first_few(missing), why));
}

[[noreturn]] void refuse(const std::string& name, const TensorView& place, const std::string& why) {
  throw IoError(fmt::format("{} has shape {} ({})", name, to_string(place.shape), why));
}

}  // namespace

bool is_meta_folder(const std::string& folder) {
  return files_up_to_last(folder) > 0;
}

MetaSource::MetaSource(const std::string& folder) : folder_(folder), params_(read_meta_params(folder)) {
  const int last = files_up_to_last(folder);
  refuse_missing(folder, last, fmt::format("consolidated.{:02d}.pth is there", last - 1));
  for (int rank = 0; rank < last; ++rank)
    files_.push_back(std::make_unique<PthFile>(file_of_rank(folder, rank)));
  check_count();
  warnings_ = params_.warnings;
  for (std::size_t rank = 0; rank < files_.size(); ++rank) {
    for (const std::string& name : files_[rank]->names()) take(rank, name);
    skipped_.insert(files_[rank]->others().begin(), files_[rank]->others().end());
  }
  check_complete();
  add_sizes();
  if (std::any_of(skipped_.begin(), skipped_.end(), is_meta_vision))
    warnings_.push_back(
        fmt::format("the part that sees of {} is left out (its tensors are not mapped)", folder));
}

/// Every rank has as many columns of the first layer's output projection, so that the first file says how
/// many there are.
void MetaSource::check_count() const {
  constexpr const char* kDivided = "layers.0.attention.wo.weight";
  const std::int64_t all = params_.heads * params_.head_dim;
  if (!files_.front()->has(kDivided)) return;
  const Shape& shape = files_.front()->place(kDivided).shape;
  if (shape.rank() != 2 || shape[1] == 0 || all % shape[1] != 0 || all / shape[1] > kMostRanks) return;
  const std::int64_t files = all / shape[1];
  refuse_missing(folder_, static_cast<int>(files),
                 fmt::format("{} of {} has {} of {} columns: there are {} files", kDivided,
                             files_.front()->path(), shape[1], all, files));
}

void MetaSource::take(std::size_t rank, const std::string& name) {
  if (is_left_out_of_meta(name) || is_meta_vision(name)) {
    skipped_.insert(name);
    return;
  }
  const auto tensor = meta_tensor(name);
  if (!tensor) {
    unknown_.insert(name);
    return;
  }
  ++holders_[name];
  take(rank, *tensor, files_[rank]->place(name));
}

void MetaSource::take(std::size_t rank, const MetaTensor& tensor, const TensorView& place) {
  const std::string& ours = tensor.ours.front();
  const int axes = place.shape.rank();
  const auto experts = std::max<std::int64_t>(params_.experts, 1);
  const bool is_matrix = tensor.form == MetaForm::whole || axes == 2;
  if (!is_matrix) refuse(tensor.name, place, "two axes are needed");
  switch (tensor.form) {
    case MetaForm::whole:
      return add_same(rank, ours, place);
    case MetaForm::router:
      return add_same(rank, ours, with_last_axes_exchanged(place));
    case MetaForm::columns:
      return add(rank, ours, 1, place);
    case MetaForm::experts_in:
    case MetaForm::experts_out:
      if (place.extent(0) % experts != 0)
        refuse(tensor.name, place, fmt::format("there are {} experts", experts));
      return add(rank, ours, tensor.form == MetaForm::experts_in ? 1 : 2,
                 with_last_axes_exchanged(split_axis(place, experts)));
    default:
      return take_rows(rank, tensor, place);
  }
}

/// How many rows each of ours has of so many on one rank.
std::vector<std::int64_t> MetaSource::rows_of(const MetaTensor& tensor, std::int64_t rows) const {
  if (tensor.form == MetaForm::halves) return {rows / 2, rows / 2};
  if (tensor.form != MetaForm::qkv) return {rows};
  const auto ranks = static_cast<std::int64_t>(files_.size());
  const std::int64_t q = params_.heads / ranks * params_.head_dim,
                     kv = std::max<std::int64_t>(params_.kv_heads / ranks, 1) * params_.head_dim;
  return {q, kv, kv};
}

void MetaSource::take_rows(std::size_t rank, const MetaTensor& tensor, const TensorView& place) {
  const auto rows = rows_of(tensor, place.extent(0));
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t end = begin + rows[i];
    if (end > place.extent(0)) refuse(tensor.name, place, "params.json says more rows");
    take_head(rank, tensor.ours[i], place.rows(begin, end));
    begin = end;
  }
  if (begin != place.extent(0)) refuse(tensor.name, place, fmt::format("params.json says {} rows", begin));
}

/// How many ranks hold each block of ours: several, of more ranks than heads of keys.
std::size_t MetaSource::copies(const std::string& ours) const {
  const bool is_of_keys = ours.ends_with("attention.wk.weight") || ours.ends_with("attention.wv.weight");
  const std::size_t copies = files_.size() / static_cast<std::size_t>(params_.kv_heads);
  return is_of_keys ? std::max<std::size_t>(copies, 1) : 1;
}

/// Of the ranks that hold the same head only the first is read, and the others must have the same.
void MetaSource::take_head(std::size_t rank, const std::string& ours, const TensorView& view) {
  const std::size_t each = copies(ours);
  if (rank % each == 0) return add(rank, ours, 0, view);
  const auto& pieces = tensors_[ours].pieces;
  if (rank / each < pieces.size()) check_equal(rank, ours, view, pieces[rank / each]);
}

/// A block behind those of the ranks before.
void MetaSource::add(std::size_t rank, const std::string& ours, int axis, const TensorView& view) {
  Tensor& tensor = tensors_[ours];
  Box at = Box::whole(view.shape);
  if (tensor.pieces.empty()) {
    tensor.shape = view.shape;
  } else {
    Shape rest = view.shape, before = tensor.shape;
    rest.set(axis, 0);
    before.set(axis, 0);
    CARAVAN_CHECK(rest == before && view.dtype == tensor.pieces.front().view.dtype, IoError,
                  fmt::format("{} holds {} {} of {}, the files before it {} of {}", files_[rank]->path(),
                              to_string(view.shape), name_of(view.dtype), ours, to_string(tensor.shape),
                              name_of(tensor.pieces.front().view.dtype)));
    at.origin[static_cast<std::size_t>(axis)] = tensor.shape[axis];
    tensor.shape.set(axis, tensor.shape[axis] + view.extent(axis));
  }
  tensor.pieces.push_back({at, files_[rank].get(), view});
}

void MetaSource::add_same(std::size_t rank, const std::string& ours, const TensorView& view) {
  if (rank == 0) return add(rank, ours, 0, view);
  CARAVAN_CHECK(tensors_.contains(ours), IoError,
                fmt::format("{} holds {}, which the files before it lack", files_[rank]->path(), ours));
  check_equal(rank, ours, view, tensors_.at(ours).pieces.front());
}

void MetaSource::check_equal(std::size_t rank, const std::string& ours, const TensorView& view,
                             const Piece& other) const {
  bool is_same = other.view.shape == view.shape && other.view.dtype == view.dtype;
  if (is_same) {
    std::vector<std::byte> a(view.bytes()), b(view.bytes());
    other.file->read_place(other.view, TensorView(a.data(), view.dtype, view.shape));
    files_[rank]->read_place(view, TensorView(b.data(), view.dtype, view.shape));
    is_same = a == b;
  }
  CARAVAN_CHECK(is_same, IoError,
                fmt::format("{} holds another {} than {} (both ranks have the same)", files_[rank]->path(),
                            ours, other.file->path()));
}

/// Every rank has its block of what is divided, and what is the same on all. A block that is missing behind
/// the others would pass for a smaller tensor.
void MetaSource::check_complete() const {
  for (const auto& [name, holders] : holders_)
    CARAVAN_CHECK(holders == files_.size(), IoError,
                  fmt::format("{} of {} files of {} hold {} (each has its part)", holders, files_.size(),
                              folder_, name));
}

void MetaSource::add_sizes() {
  const auto set = [&](const char* key, std::int64_t value) {
    params_.model.set(key, Config::scalar(std::to_string(value)));
  };
  if (!params_.model.has("vocab_size") && has("tok_embeddings.weight"))
    set("vocab_size", shape("tok_embeddings.weight")[0]);
  for (const auto& [ours, tensor] : tensors_) {
    if (ours.ends_with(".moe.experts.w1")) set("expert_width", tensor.shape[1]);
    if (ours.ends_with(".feed_forward.w1.weight")) set("dense_width", tensor.shape[0]);
  }
}

std::string MetaSource::description() const {
  return fmt::format("Meta's weights {}", folder_);
}

std::vector<std::string> MetaSource::names() const {
  std::vector<std::string> names(unknown_.begin(), unknown_.end());
  for (const auto& [ours, tensor] : tensors_) names.push_back(ours);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<NamedShape> MetaSource::stored_as(const NamedShape& ours) const {
  const auto tensor = meta_tensor_of(ours.name);
  return {{tensor ? tensor->name : ours.name, ours.shape}};
}

const MetaSource::Tensor& MetaSource::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  CARAVAN_CHECK(found != tensors_.end(), IoError, fmt::format("{} has no tensor {}", description(), name));
  return found->second;
}

void MetaSource::read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                             int threads) const {
  const Box wanted{origin, to.shape};
  for (const Piece& piece : tensor(name).pieces) {
    const Box common = intersection(piece.at, wanted);
    if (common.extents.count() == 0) continue;
    piece.file->read_place(block_of(piece.view, moved(common, piece.at.origin)),
                           block_of(to, moved(common, origin)), threads);
  }
}

}  // namespace caravan::io
