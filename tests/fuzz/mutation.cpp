#include "tests/fuzz/mutation.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <string_view>

namespace caravan::fuzz {
namespace {

constexpr std::size_t kLongest = 65536;

class Mutator {
 public:
  Mutator(const std::vector<std::string>& corpus, std::uint64_t number) : corpus_(corpus), random_(number) {}

  std::string make() {
    text_ = corpus_[below(corpus_.size())];
    const std::size_t changes = 1 + below(4);
    for (std::size_t i = 0; i < changes; ++i) change();
    text_.resize(std::min(text_.size(), kLongest));
    return std::move(text_);
  }

 private:
  std::size_t below(std::size_t most) { return most == 0 ? 0 : random_() % most; }
  std::size_t place() { return below(text_.size() + 1); }
  std::size_t length() { return 1 + below(std::size_t{1} << below(8)); }

  void change() {
    switch (below(7)) {
      case 0:
        if (!text_.empty()) text_[below(text_.size())] ^= static_cast<char>(1 << below(8));
        return;
      case 1:
        return void(text_.insert(place(), 1, static_cast<char>(below(256))));
      case 2:
        return void(text_.erase(place(), length()));
      case 3:
        return text_.resize(place());
      case 4:
        return insert_from(text_);
      case 5:
        return insert_from(corpus_[below(corpus_.size())]);
      default:
        return replace_number();
    }
  }

  void insert_from(const std::string& source) {
    text_.insert(place(), source.substr(below(source.size() + 1), length()));
  }

  /// Digits where there are some; anywhere else.
  void replace_number() {
    static constexpr std::array<std::string_view, 12> kNumbers{"0",
                                                               "-1",
                                                               "1",
                                                               "2147483648",
                                                               "4294967296",
                                                               "9223372036854775807",
                                                               "2305843009213693952",
                                                               "1e308",
                                                               "18446744073709551615",
                                                               "null",
                                                               "[]",
                                                               "\"\""};
    const std::size_t begin = std::min(text_.find_first_of("0123456789", place()), text_.size());
    const std::size_t end = std::min(text_.find_first_not_of("0123456789", begin), text_.size());
    text_.replace(begin, end - begin, kNumbers[below(kNumbers.size())]);
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 random_;
  std::string text_;
};

}  // namespace

std::string mutation(const std::vector<std::string>& corpus, std::uint64_t number) {
  return Mutator(corpus, number).make();
}

std::vector<std::string> repetitions() {
  constexpr std::size_t kBytes = std::size_t{1} << 17;
  std::vector<std::string> all;
  for (const std::string_view unit : {"[",
                                      "{",
                                      "(",
                                      "[],",
                                      "{},",
                                      "[{",
                                      "{\"a\":",
                                      "\"",
                                      "'",
                                      "\\",
                                      "- ",
                                      "a: ",
                                      "? ",
                                      "a:\n",
                                      "#\n",
                                      " ",
                                      "\n",
                                      ",",
                                      "1",
                                      "-",
                                      "&a ",
                                      "!a ",
                                      "%a\n",
                                      "a\n\n",
                                      "0F0,",
                                      "0F0\n",
                                      "(0F0;1B0)OVERLAP_F_B,",
                                      "IQ== 0\n",
                                      "\n\x03\n\x01z",
                                      "\xC3\xBC"}) {
    all.emplace_back();
    while (all.back().size() < kBytes) all.back() += unit;
  }
  return all;
}

}  // namespace caravan::fuzz
