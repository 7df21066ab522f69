#include "io/meta/pickle_writer.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "caravan/check.hpp"
#include "io/meta/little_endian.hpp"

namespace caravan::io {
namespace {

std::string_view storage_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "FloatStorage";
    case DType::f64:
      return "DoubleStorage";
    case DType::bf16:
      return "BFloat16Storage";
    case DType::f16:
      return "HalfStorage";
    default:
      break;
  }
  throw IoError(fmt::format("a .pth file of {} is not written", name_of(dtype)));
}

/// Operations of protocol 2, by their bytes in Python's pickletools.
class PickleWriter {
 public:
  std::string text{"\x80\x02}("};  // PROTO 2, EMPTY_DICT, MARK

  void add(const TensorToPickle& tensor, std::size_t index) {
    string(tensor.name);
    global("torch._utils", "_rebuild_tensor_v2");
    text += '(';
    storage(tensor, index);
    integer(0);
    sizes(tensor);
    text += '\x89';  // NEWFALSE: no gradient
    global("collections", "OrderedDict");
    text += ")RtR";  // EMPTY_TUPLE, REDUCE: no hooks; TUPLE, REDUCE
  }
  void finish() { text += "u."; }  // SETITEMS, STOP

 private:
  void string(std::string_view value) {
    text += 'X';
    append_number(text, value.size(), 4);
    text += value;
  }
  void global(std::string_view module, std::string_view name) {
    text += fmt::format("c{}\n{}\n", module, name);
  }
  void integer(std::int64_t value) {
    const bool is_short = value <= 0x7FFFFFFF;
    text += is_short ? "J" : "\x8a\x08";  // BININT, LONG1 of eight bytes
    append_number(text, static_cast<std::uint64_t>(value), is_short ? 4 : 8);
  }
  void storage(const TensorToPickle& tensor, std::size_t index) {
    text += '(';
    string("storage");
    global("torch", storage_of(tensor.dtype));
    string(std::to_string(index));
    string("cpu");
    integer(tensor.shape.count());
    text += "tQ";  // TUPLE, BINPERSID
  }
  void sizes(const TensorToPickle& tensor) {
    const TensorView view(nullptr, tensor.dtype, tensor.shape);
    text += '(';
    for (int axis = 0; axis < tensor.shape.rank(); ++axis) integer(tensor.shape[axis]);
    text += "t(";
    for (int axis = 0; axis < tensor.shape.rank(); ++axis) integer(view.stride(axis));
    text += 't';
  }
};

}  // namespace

std::string pickle_of(std::span<const TensorToPickle> tensors) {
  PickleWriter writer;
  for (std::size_t index = 0; index < tensors.size(); ++index) writer.add(tensors[index], index);
  writer.finish();
  return std::move(writer.text);
}

}  // namespace caravan::io
