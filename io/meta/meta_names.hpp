#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace caravan::io {

/// How the ranks of Meta's files divide a tensor, and how it lies in theirs.
enum class MetaForm {
  rows,         ///< of axis 0
  kv_rows,      ///< the same; of more ranks than heads of keys each head stands on several
  columns,      ///< of axis 1
  whole,        ///< on every rank
  router,       ///< on every rank, transposed
  experts_in,   ///< [E·D, f]: ours [E, F, D], rows of axis 1
  experts_out,  ///< [E·f, D]: ours [E, D, F], columns of axis 2
  qkv,          ///< a rank's rows of three of ours, one behind the other
  halves,       ///< a rank's rows of two of ours, one behind the other
};

/// A tensor of Meta's files and what of ours it is made of.
struct MetaTensor {
  std::string name;
  MetaForm form = MetaForm::rows;
  std::vector<std::string> ours;  ///< one; three for qkv, two for halves
};

/// What `name` means; nothing for a name that is not known.
std::optional<MetaTensor> meta_tensor(std::string_view name);

/// The tensor that holds ours in the form that Meta released, fused; nothing for a name that has no place
/// there.
std::optional<MetaTensor> meta_tensor_of(std::string_view ours);

/// Tables that are computed, counters of training, and states of layers: left out on purpose.
bool is_left_out_of_meta(std::string_view name);
/// The part that sees.
bool is_meta_vision(std::string_view name);

}  // namespace caravan::io
