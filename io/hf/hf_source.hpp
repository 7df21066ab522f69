#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/hf/weight_source.hpp"
#include "io/safetensors/set.hpp"

namespace caravan::io {

/// Weights in Hugging Face's names: a folder or one file. Reads both prefixes and both layouts of experts;
/// the vision part are companions, in the files' layout. Where the configuration ties the head to the
/// embedding, a head with other values is read all the same, and a head without an embedding stands for it,
/// as in transformers.
class HfSource final : public WeightSource {
 public:
  /// `tied_by`: a configuration elsewhere that ties the head; empty: as config.json of the folder says.
  explicit HfSource(const std::string& folder_or_file, const std::string& tied_by = "");

  std::string description() const override;
  std::vector<std::string> names() const override;
  bool has(const std::string& name) const override { return pieces_.contains(name); }
  Shape shape(const std::string& name) const override;
  DType dtype(const std::string& name) const override;
  std::vector<std::string> companions() const override { return companions_; }
  std::vector<std::string> skipped() const override { return skipped_; }
  std::vector<std::string> warnings() const override;
  std::vector<NamedShape> stored_as(const NamedShape& ours) const override;
  std::optional<HfStyle> hf_style() const override { return style_; }

 private:
  struct Piece {
    std::string hf_name;
    HfPlacement placement;
  };
  void take(const std::string& hf_name);
  void tie(const std::string& said);
  bool are_equal(const std::string& hf_name, const std::string& other) const;
  void prefer_fused(std::vector<Piece>& pieces);
  void check_experts(const std::string& ours, const std::vector<Piece>& pieces) const;
  const std::vector<Piece>& pieces_of(const std::string& name) const;
  TensorView place(const Piece& piece) const { return our_view(set_.place(piece.hf_name), piece.placement); }
  void read_inside(const std::string& name, const Origin& origin, const TensorView& to,
                   int threads) const override;

  SafetensorsSet set_;
  HfStyle style_;
  std::map<std::string, std::vector<Piece>> pieces_;  ///< ours → one piece, or one an expert in order
  std::vector<std::string> unknown_;
  std::vector<std::string> companions_;  ///< they have pieces too
  std::vector<std::string> skipped_;
  std::vector<std::string> warnings_;
};

}  // namespace caravan::io
