#include "io/convert/hf_tensors.hpp"

#include <map>

#include "io/files/convert.hpp"
#include "io/hf/name_map.hpp"

namespace caravan::io {
namespace {

MadePart part_of(const HfPiece& piece) {
  const HfForm form = piece.placement.form;
  Box at = Box::whole(piece.shape);
  if (form == HfForm::gate_half || form == HfForm::up_half) {
    const std::int64_t half = piece.shape[2] / 2;
    at.extents.set(2, half);
    if (form == HfForm::up_half) at.origin[2] = half;
  }
  return {piece.placement.ours, {}, at, form != HfForm::same};
}

void add_companions(const WeightSource& source, const Selection& selection, const std::string& root,
                    std::vector<MadeTensor>& tensors) {
  for (const NamedShape& companion : selection.companions)
    tensors.push_back(MadeTensor::copy(root + companion.name, companion, source.dtype(companion.name)));
}

}  // namespace

DType dtype_of_made(const WeightSource& source, const std::string& name, const std::optional<DType>& wanted) {
  const DType stored = source.dtype(name);
  return wanted.value_or(stored == DType::f64 ? DType::f32 : stored);
}

std::vector<MadeTensor> hf_tensors(const WeightSource& source, const Selection& selection,
                                   const std::string& prefix) {
  std::vector<MadeTensor> tensors;
  std::map<std::string, std::size_t> places;
  for (const NamedShape& ours : selection.weights) {
    const DType dtype = dtype_of_made(source, ours.name, selection.dtype);
    const HfStyle style{prefix, HfStyle::Experts::fused};
    for (const HfPiece& piece : hf_name_and_layout(ours.name, ours.shape, style)) {
      const auto [place, is_new] = places.emplace(piece.name, tensors.size());
      if (is_new) tensors.push_back({piece.name, dtype, piece.shape, piece.shape, {}});
      MadeTensor& tensor = tensors[place->second];
      tensor.dtype = wider(tensor.dtype, dtype);
      tensor.parts.push_back(part_of(piece));
    }
  }
  add_companions(source, selection, "", tensors);
  return tensors;
}

std::vector<MadeTensor> our_tensors(const WeightSource& source, const Selection& selection,
                                    const std::string& root, const std::string& root_of_companions) {
  std::vector<MadeTensor> tensors;
  for (const NamedShape& ours : selection.weights) {
    const DType dtype = dtype_of_made(source, ours.name, selection.dtype);
    tensors.push_back(MadeTensor::copy(root + ours.name, ours, dtype));
  }
  add_companions(source, selection, root_of_companions, tensors);
  return tensors;
}

}  // namespace caravan::io
