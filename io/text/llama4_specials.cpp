#include "io/text/llama4_specials.hpp"

#include <fmt/format.h>

#include <initializer_list>
#include <string_view>

namespace caravan::io {
namespace {

constexpr int kNumSpecials = 2048;

class SpecialList {
 public:
  explicit SpecialList(std::int32_t first) : first_(first) {}

  SpecialList& named(std::initializer_list<std::string_view> names) {
    for (std::string_view name : names) append(fmt::format("<|{}|>", name));
    return *this;
  }
  SpecialList& reserved(std::string_view family, int from, int count) {
    for (int i = from; i < from + count; ++i)
      append(fmt::format("<|{}reserved_special_token_{}|>", family, i));
    return *this;
  }
  SpecialList& fill() { return reserved("", 0, kNumSpecials - static_cast<int>(tokens_.size())); }
  std::vector<SpecialTokens::Token> take() { return std::move(tokens_); }

 private:
  void append(std::string name) {
    const auto id = first_ + static_cast<std::int32_t>(tokens_.size());
    tokens_.push_back({.name = std::move(name), .id = id});
  }

  std::int32_t first_;
  std::vector<SpecialTokens::Token> tokens_;
};

}  // namespace

std::vector<SpecialTokens::Token> llama4_specials(std::int32_t first) {
  return SpecialList(first)
      .named({"begin_of_text", "end_of_text", "fim_prefix", "fim_middle", "fim_suffix"})
      .named({"header_start", "header_end", "eom", "eot", "step"})
      .reserved("text_post_train_", 0, 6)
      .named({"python_start", "python_end", "finetune_right_pad"})
      .reserved("text_post_train_", 8, 61)
      .named({"image_start", "image_end"})
      .reserved("vision_", 0, 2)
      .named({"tile_x_separator", "tile_y_separator"})
      .reserved("vision_", 2, 4)
      .named({"image"})
      .reserved("vision_", 6, 1)
      .named({"patch"})
      .reserved("vision_", 7, 1041)
      .reserved("reasoning_", 0, 8)
      .named({"reasoning_thinking_start", "reasoning_thinking_end"})
      .fill()
      .take();
}

}  // namespace caravan::io
