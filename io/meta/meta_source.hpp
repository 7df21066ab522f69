#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "io/hf/weight_source.hpp"
#include "io/meta/meta_names.hpp"
#include "io/meta/meta_params.hpp"
#include "io/meta/pth_file.hpp"

namespace caravan::io {

/// Weights in Meta's format: a folder of params.json and consolidated.00.pth, …, one for each of the ranks
/// that divide the tensors; fused or not. What stands on every rank must be the same there. Leaves out the
/// part that sees, and says so.
class MetaSource final : public WeightSource {
 public:
  explicit MetaSource(const std::string& folder);

  std::string description() const override;
  std::vector<std::string> names() const override;
  bool has(const std::string& name) const override { return tensors_.contains(name); }
  Shape shape(const std::string& name) const override { return tensor(name).shape; }
  DType dtype(const std::string& name) const override { return tensor(name).pieces.front().view.dtype; }
  std::vector<std::string> skipped() const override { return {skipped_.begin(), skipped_.end()}; }
  std::vector<std::string> warnings() const override { return warnings_; }
  std::vector<NamedShape> stored_as(const NamedShape& ours) const override;

  /// Of the model plugin "llama4", with the sizes that the weights say.
  const Config& model() const noexcept { return params_.model; }

 private:
  /// A block of ours, and where it lies in the file of a rank, in our orientation.
  struct Piece {
    Box at;
    const PthFile* file = nullptr;
    TensorView view;
  };
  struct Tensor {
    Shape shape;
    std::vector<Piece> pieces;
  };
  void check_count() const;
  void take(std::size_t rank, const std::string& name);
  void take(std::size_t rank, const MetaTensor& tensor, const TensorView& place);
  void take_rows(std::size_t rank, const MetaTensor& tensor, const TensorView& place);
  void take_head(std::size_t rank, const std::string& ours, const TensorView& view);
  void add(std::size_t rank, const std::string& ours, int axis, const TensorView& view);
  void add_same(std::size_t rank, const std::string& ours, const TensorView& view);
  /// IoError unless rank's block of ours is what another rank has.
  void check_equal(std::size_t rank, const std::string& ours, const TensorView& view,
                   const Piece& other) const;
  std::vector<std::int64_t> rows_of(const MetaTensor& tensor, std::int64_t rows) const;
  std::size_t copies(const std::string& ours) const;
  void check_complete() const;
  void add_sizes();
  const Tensor& tensor(const std::string& name) const;
  void read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                   int threads) const override;

  std::string folder_;
  MetaParams params_;
  std::vector<std::unique_ptr<PthFile>> files_;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::size_t> holders_;  ///< Meta's name → how many files have it
  std::set<std::string> unknown_, skipped_;
  std::vector<std::string> warnings_;
};

/// Whether a folder has files of this format.
bool is_meta_folder(const std::string& folder);

}  // namespace caravan::io
