#include "io/meta/pickled_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <utility>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

using Kind = PickledValue::Kind;

constexpr std::size_t kMostValues = 1'000'000;  // a tensor takes about twelve
constexpr std::size_t kMostNameBytes = 1024;    // each tensor has a copy of what a file may hold once

constexpr std::string_view kDictionary = "collections OrderedDict",
                           kRebuild = "torch._utils _rebuild_tensor_v2",
                           kParameter = "torch._utils _rebuild_parameter", kEncode = "_codecs encode",
                           kStream = "_io BytesIO";

struct Storage {
  std::string_view name;
  DType dtype;
};
constexpr std::array kStorages{
    Storage{"torch FloatStorage", DType::f32},     Storage{"torch DoubleStorage", DType::f64},
    Storage{"torch BFloat16Storage", DType::bf16}, Storage{"torch HalfStorage", DType::f16},
    Storage{"torch IntStorage", DType::i32},       Storage{"torch LongStorage", DType::i64},
    Storage{"torch ByteStorage", DType::u8},       Storage{"torch BoolStorage", DType::u8}};

const Storage* find_storage(std::string_view name) {
  const auto found = std::find_if(kStorages.begin(), kStorages.end(),
                                  [&](const auto& storage) { return storage.name == name; });
  return found == kStorages.end() ? nullptr : &*found;
}

/// Whether the window lies in its storage and has no more elements than that, without sums that overflow.
bool is_inside(const PickledTensor& tensor) {
  std::uint64_t count = 1, last = tensor.offset;
  for (int axis = 0; axis < tensor.shape.rank(); ++axis) {
    const auto extent = static_cast<std::uint64_t>(tensor.shape[axis]);
    if (extent == 0) return tensor.offset <= tensor.elements;
    const auto stride = static_cast<std::uint64_t>(tensor.strides[static_cast<std::size_t>(axis)]);
    if (count > tensor.elements / extent) return false;
    count *= extent;
    if (extent > 1 && (stride == 0 || stride > tensor.elements / (extent - 1))) return false;
    last += extent > 1 ? stride * (extent - 1) : 0;
    if (last >= tensor.elements) return false;
  }
  return last < tensor.elements;
}

/// Whether two indices of the window may mean one element: each axis must step over all that lies within a
/// step of the next wider one. The window is inside, so that no product here overflows.
bool overlaps(const PickledTensor& tensor) {
  std::array<std::pair<std::uint64_t, std::uint64_t>, Shape::kMaxRank> axes{};  // stride, extent
  std::size_t count = 0;
  for (int axis = 0; axis < tensor.shape.rank(); ++axis) {
    const auto extent = static_cast<std::uint64_t>(tensor.shape[axis]);
    if (extent == 0) return false;
    if (extent > 1)
      axes[count++] = {static_cast<std::uint64_t>(tensor.strides[static_cast<std::size_t>(axis)]), extent};
  }
  std::sort(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(count));
  for (std::size_t i = 1; i < count; ++i)
    if (axes[i].first < axes[i - 1].first * axes[i - 1].second) return true;
  return false;
}

}  // namespace

void PickledValues::refuse(const std::string& why) const {
  throw IoError(
      fmt::format("{}: its pickle is not one of tensors alone ({}; nothing was executed)", path_, why));
}

PickledValues::Id PickledValues::add(PickledValue value) {
  if (values_.size() == kMostValues) refuse(fmt::format("it makes more than {} values", kMostValues));
  values_.push_back(std::move(value));
  return values_.size() - 1;
}

const PickledValue& PickledValues::at(Id id, Kind kind, const char* what) const {
  if (values_[id].kind != kind) refuse(fmt::format("{} is missing or another thing", what));
  return values_[id];
}

std::uint64_t PickledValues::count_at(Id id, const char* what) const {
  const std::int64_t count = at(id, Kind::integer, what).integer;
  if (count < 0) refuse(fmt::format("{} is {}", what, count));
  return static_cast<std::uint64_t>(count);
}

const std::string& PickledValues::name_at(Id id, const char* what) const {
  const std::string& name = at(id, Kind::text, what).text;
  if (name.size() > kMostNameBytes)
    refuse(fmt::format("{} has {} bytes: at most {}", what, name.size(), kMostNameBytes));
  return name;
}

PickledValue PickledValues::global(const std::string& name) const {
  static constexpr std::array kKnown{kDictionary, kRebuild, kParameter, kEncode, kStream};
  const bool is_known = std::find(kKnown.begin(), kKnown.end(), name) != kKnown.end() || find_storage(name);
  if (!is_known) refuse(fmt::format("it names '{}'", name));
  return {.kind = Kind::global, .text = name};
}

PickledValue PickledValues::call(Id function, Id arguments) const {
  const std::string& name = at(function, Kind::global, "a function").text;
  const PickledValue& given = at(arguments, Kind::tuple, "the arguments of a function");
  if (name == kDictionary && given.items.empty()) return {.kind = Kind::dictionary};
  if (name == kEncode) return {.kind = Kind::other};
  if (name == kRebuild) return rebuilt(given);
  if (name == kParameter && !given.items.empty()) return at(given.items[0], Kind::tensor, "a parameter");
  refuse(fmt::format("'{}' is called with {} arguments", name, given.items.size()));
}

PickledValue PickledValues::make(Id type, Id arguments) const {
  const std::string& name = at(type, Kind::global, "a class").text;
  at(arguments, Kind::tuple, "the arguments of a class");
  if (name != kStream) refuse(fmt::format("it makes a '{}'", name));
  return {.kind = Kind::other};
}

/// ('storage', its type, its name, its device, its elements)
PickledValue PickledValues::storage(Id description) const {
  const std::vector<Id>& items = at(description, Kind::tuple, "the description of a storage").items;
  if (items.size() != 5 || at(items[0], Kind::text, "the kind of a storage").text != "storage")
    refuse("a storage has no description");
  const auto* type = find_storage(at(items[1], Kind::global, "the type of a storage").text);
  if (!type) refuse("a storage has no type");
  PickledValue value{.kind = Kind::storage};
  value.tensor.dtype = type->dtype;
  value.tensor.storage = name_at(items[2], "the name of a storage");
  value.tensor.elements = count_at(items[4], "the length of a storage");
  return value;
}

/// (storage, offset, sizes, strides, requires_grad, hooks)
PickledValue PickledValues::rebuilt(const PickledValue& arguments) const {
  const std::vector<Id>& items = arguments.items;
  if (items.size() < 4) refuse("a tensor has too few arguments");
  PickledValue value = at(items[0], Kind::storage, "the storage of a tensor");
  value.kind = Kind::tensor;
  PickledTensor& tensor = value.tensor;
  tensor.offset = count_at(items[1], "the offset of a tensor");
  const auto& sizes = at(items[2], Kind::tuple, "the sizes of a tensor").items;
  const auto& strides = at(items[3], Kind::tuple, "the strides of a tensor").items;
  if (sizes.size() != strides.size() || sizes.size() > static_cast<std::size_t>(Shape::kMaxRank))
    refuse(fmt::format("a tensor has {} sizes and {} strides", sizes.size(), strides.size()));
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    tensor.shape.append(static_cast<std::int64_t>(count_at(sizes[axis], "a size")));
    tensor.strides[axis] = static_cast<std::int64_t>(count_at(strides[axis], "a stride"));
  }
  if (!is_inside(tensor)) refuse(fmt::format("a tensor lies outside of storage {}", tensor.storage));
  if (overlaps(tensor)) refuse(fmt::format("a tensor of storage {} overlaps itself", tensor.storage));
  return value;
}

void PickledValues::set_items(Id dictionary, const std::vector<Id>& items) {
  at(dictionary, Kind::dictionary, "a dictionary");
  if (items.size() % 2 != 0) refuse("a key has no value");
  auto& all = values_[dictionary].items;
  all.insert(all.end(), items.begin(), items.end());
}

void PickledValues::check_built(Id value) const {
  const Kind kind = values_[value].kind;
  if (kind != Kind::dictionary && kind != Kind::other)
    refuse("a state is set on something else than a stream");
}

PickledTensors PickledValues::tensors_of(Id dictionary) const {
  const auto& items = at(dictionary, Kind::dictionary, "the dictionary of tensors").items;
  PickledTensors found;
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const std::string& key = name_at(items[i], "the name of a tensor");
    const PickledValue& value = values_[items[i + 1]];
    if (value.kind == Kind::dictionary && !value.items.empty())
      refuse(fmt::format("'{}' is a dictionary of its own, and its tensors would be left out", key));
    if (value.kind != Kind::tensor) {
      found.others.push_back(key);
    } else if (!found.tensors.emplace(key, value.tensor).second) {
      refuse(fmt::format("'{}' stands in it twice", key));
    }
  }
  return found;
}

}  // namespace caravan::io
