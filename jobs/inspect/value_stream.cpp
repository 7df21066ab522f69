#include "jobs/inspect/value_stream.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "io/files/convert.hpp"

namespace caravan::jobs {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{4} << 20;
constexpr std::uint64_t kPieceElements = 16384;  // 128 KiB of doubles: level 2 holds them

double widened(io::Bf16 value) {
  return io::to_float(value);
}
double widened(io::Half value) {
  return io::to_float(value);
}
template <class T>
double widened(T value) {
  return static_cast<double>(value);
}

template <class T>
void convert(const Block& block, std::uint64_t first, std::span<double> to) {
  const std::byte* from = block.data + first * sizeof(T);
  for (std::size_t i = 0; i < to.size(); ++i) {
    T value;
    std::memcpy(&value, from + i * sizeof(T), sizeof(T));
    to[i] = widened(value);
  }
}

}  // namespace

std::int64_t elements_a_block(io::NumberType element) {
  return static_cast<std::int64_t>(kBlockBytes / size_of(element));
}

void to_double(const Block& block, std::uint64_t first, std::span<double> to) {
  using io::NumberType;
  static constexpr std::pair<NumberType, void (*)(const Block&, std::uint64_t, std::span<double>)> kOfTypes[]{
      {NumberType::f32, convert<float>},         {NumberType::f64, convert<double>},
      {NumberType::bf16, convert<io::Bf16>},     {NumberType::f16, convert<io::Half>},
      {NumberType::i8, convert<std::int8_t>},    {NumberType::i16, convert<std::int16_t>},
      {NumberType::i32, convert<std::int32_t>},  {NumberType::i64, convert<std::int64_t>},
      {NumberType::u8, convert<std::uint8_t>},   {NumberType::u16, convert<std::uint16_t>},
      {NumberType::u32, convert<std::uint32_t>}, {NumberType::u64, convert<std::uint64_t>}};
  static_assert(std::size(kOfTypes) == io::kNumNumberTypes);
  const auto* of_type = std::find_if(std::begin(kOfTypes), std::end(kOfTypes),
                                     [&](const auto& each) { return each.first == block.element; });
  of_type->second(block, first, to);
}

void for_each_piece(const Block& block, std::vector<double>& room,
                    const std::function<void(std::span<const double>, std::uint64_t)>& action) {
  const auto count = static_cast<std::uint64_t>(block.count());
  room.resize(std::min(count, kPieceElements));
  for (std::uint64_t first = 0; first < count; first += kPieceElements) {
    const auto piece = std::span(room).first(std::min(kPieceElements, count - first));
    to_double(block, first, piece);
    action(piece, first);
  }
}

void ValueStream::for_each_stored(const TensorEntry& tensor, const Box& box, const BlockAction& action) {
  const io::NumberType element = tensor.element.value();
  for_each_block(box, elements_a_block(element),
                 [&](const Origin& origin, const Shape& shape, std::uint64_t first) {
                   block_.resize(static_cast<std::size_t>(shape.count()) * size_of(element));
                   const Block block{block_.data(), element, shape};
                   source_.read(tensor, origin, block);
                   action(block, first);
                 });
}

void ValueStream::for_each_value(const TensorEntry& tensor, const Box& box, const ValueAction& action) {
  for_each_stored(tensor, box, [&](const Block& block, std::uint64_t before) {
    for_each_piece(block, values_, [&](std::span<const double> values, std::uint64_t first) {
      action(values, before + first);
    });
  });
}

}  // namespace caravan::jobs
