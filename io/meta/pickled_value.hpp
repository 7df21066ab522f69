#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "io/meta/pickle.hpp"

namespace caravan::io {

/// What a pickle's operation made.
struct PickledValue {
  enum class Kind {
    integer,
    text,
    tuple,
    dictionary,  ///< keys and values in turn
    global,      ///< the name of a function or class that is known
    storage,     ///< of a tensor
    tensor,
    other,  ///< of no interest: None, a flag, bytes, a stream in memory
  };
  Kind kind = Kind::other;
  std::int64_t integer = 0;
  std::string text;
  std::vector<std::size_t> items;  ///< ids
  PickledTensor tensor{};          ///< of a storage too
};

/// All values of a pickle, by id; and what the few functions that are known would give.
class PickledValues {
 public:
  using Id = std::size_t;

  explicit PickledValues(const std::string& path) : path_(path) {}

  [[noreturn]] void refuse(const std::string& why) const;
  Id add(PickledValue value);
  /// "torch._utils _rebuild_tensor_v2"; IoError for a name that means no tensor.
  PickledValue global(const std::string& name) const;
  PickledValue call(Id function, Id arguments) const;
  PickledValue make(Id type, Id arguments) const;
  PickledValue storage(Id description) const;
  void set_items(Id dictionary, const std::vector<Id>& items);
  /// IoError unless the value may have a state of its own.
  void check_built(Id value) const;
  PickledTensors tensors_of(Id dictionary) const;

 private:
  const PickledValue& at(Id id, PickledValue::Kind kind, const char* what) const;
  std::uint64_t count_at(Id id, const char* what) const;
  /// A text of at most a kilobyte.
  const std::string& name_at(Id id, const char* what) const;
  PickledValue rebuilt(const PickledValue& arguments) const;

  const std::string& path_;
  std::deque<PickledValue> values_;  ///< they stay where they are
};

}  // namespace caravan::io
