#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/tensor.hpp"
#include "io/checkpoint/block_reader.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/value.hpp"
#include "io/checkpoint/verify.hpp"

namespace caravan::io {

/// A committed checkpoint, open for reading: its manifest says what there is, and elements are read past
/// HDF5, which does not survive forged files. Every block of a tensor is compared with its digest when it is
/// read; what is not asked for is not read. Any threads may read at once.
class CheckpointReader {
 public:
  /// `path`: the step's folder or the .h5 file in it. The files are compared with the manifest. IoError for
  /// what is missing, truncated, damaged (naming tensors), foreign, or of a newer format.
  static CheckpointReader open(const std::string& path, Check check = Check::everything,
                               Through through = Through::page_cache);
  ~CheckpointReader();
  CheckpointReader(CheckpointReader&&) noexcept;

  const std::string& folder() const noexcept;
  std::int64_t format() const noexcept;
  std::int64_t step() const noexcept;
  std::int64_t tokens_seen() const noexcept;
  const std::string& layout() const noexcept;
  const std::string& creator() const noexcept;
  const std::string& job_yaml() const noexcept;

  /// Whether tensors of several layers are stored as one (see stacked_layers.hpp). They are shown and read as
  /// those of single layers all the same.
  bool has_stacked_layers() const noexcept;
  /// In the order in which they were written.
  const std::vector<TensorRecord>& tensors() const noexcept;
  bool has(std::string_view name) const noexcept;
  const TensorRecord& info(std::string_view name) const;  ///< IoError when absent

  /// Reads the whole tensor; shapes must be equal. `to` has the stored dtype, or, for any float, is f32, bf16
  /// or f16; any strides.
  void read(const std::string& name, const TensorView& to) const;
  /// Reads the block of `to`'s shape that starts at `origin`. Where it is large, `threads` read it together.
  void read_block(const std::string& name, const std::array<std::int64_t, Shape::kMaxRank>& origin,
                  const TensorView& to, int threads = 1) const;

  /// "/state/next_sample" and the like, sorted.
  std::vector<std::string> attribute_names() const;
  bool has_attribute(const std::string& name) const;
  CheckpointValue attribute(const std::string& name) const;  ///< IoError when absent

 private:
  struct State;
  explicit CheckpointReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace caravan::io
