#include <fmt/format.h>
#include <openssl/evp.h>

#include <charconv>
#include <optional>

#include "caravan/check.hpp"
#include "io/text/bpe_tokenizer.hpp"
#include "io/text/llama4_specials.hpp"
#include "io/text/readers.hpp"
#include "io/text/tokenizer_config.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kLongestLine = 64 * 1024;
constexpr std::size_t kLlama3Ranks = 128'000;

struct Line {
  std::string_view text;
  std::size_t number;
};

std::optional<std::string> decode_base64(std::string_view text) {
  const std::size_t padding = text.size() - std::min(text.find('='), text.size());
  if (text.empty() || text.size() % 4 != 0 || padding > 2) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (length != static_cast<int>(bytes.size())) return std::nullopt;
  bytes.resize(bytes.size() - padding);
  return bytes;
}

class TiktokenReader {
 public:
  explicit TiktokenReader(const std::string& path) : path_(path) {}

  std::vector<std::string> read(std::string_view bytes) {
    num_bytes_ = bytes.size();
    std::size_t number = 0;
    while (!bytes.empty()) {
      const std::size_t end = std::min(bytes.find('\n'), bytes.size());
      std::string_view text = bytes.substr(0, end);
      bytes.remove_prefix(std::min(end + 1, bytes.size()));
      if (text.ends_with('\r')) text.remove_suffix(1);
      ++number;
      if (!text.empty()) read_line({text, number});
    }
    check_dense();
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void refuse(const Line& line, const std::string& problem) const {
    throw IoError(fmt::format("{}:{}: {}. Is the file damaged?", path_, line.number, problem));
  }

  void read_line(const Line& line) {
    const std::size_t blank = line.text.find(' ');
    if (line.text.size() > kLongestLine || blank == std::string_view::npos)
      refuse(line, fmt::format("a line of {} bytes that is not 'base64 rank'", line.text.size()));
    auto token = decode_base64(line.text.substr(0, blank));
    if (!token || token->empty())
      refuse(line, fmt::format("'{}' is not base64", line.text.substr(0, std::min<std::size_t>(blank, 40))));
    place(line, std::move(*token), rank_of(line, line.text.substr(blank + 1)));
  }

  std::size_t rank_of(const Line& line, std::string_view digits) const {
    std::int64_t rank = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (error != std::errc() || end != digits.data() + digits.size() || rank < 0 || rank >= kMostTokenIds)
      refuse(line,
             fmt::format("rank '{}' is not a number from 0 to {}", digits.substr(0, 40), kMostTokenIds - 1));
    if (static_cast<std::size_t>(rank) > num_bytes_)
      refuse(line, fmt::format("rank {} in a file of {} bytes (ranks are dense)", rank, num_bytes_));
    return static_cast<std::size_t>(rank);
  }

  void place(const Line& line, std::string token, std::size_t rank) {
    if (rank >= tokens_.size()) tokens_.resize(rank + 1);
    if (!tokens_[rank].empty()) refuse(line, fmt::format("rank {} stands twice", rank));
    tokens_[rank] = std::move(token);
  }

  void check_dense() const {
    for (std::size_t rank = 0; rank < tokens_.size(); ++rank)
      CARAVAN_CHECK(!tokens_[rank].empty(), IoError,
                    fmt::format("{}: rank {} of {} is missing (ranks are dense). Is the file truncated?",
                                path_, rank, tokens_.size()));
    CARAVAN_CHECK(
        tokens_.size() != kLlama3Ranks, IoError,
        fmt::format("{}: {} ranks are Llama 3's tokenizer (this reader knows Llama 4's split and special "
                    "tokens). Use its tokenizer.json?",
                    path_, kLlama3Ranks));
  }

  const std::string& path_;
  std::size_t num_bytes_ = 0;  // bounds the ranks, and so the memory that one line can ask for
  std::vector<std::string> tokens_;
};

}  // namespace

std::unique_ptr<Tokenizer> read_tiktoken(std::string_view bytes, const std::string& path) {
  BpeTokenizer::Parts parts;
  parts.format = "tiktoken";
  parts.decoded = TiktokenReader(path).read(bytes);
  parts.model.tokens = parts.decoded;
  parts.specials = llama4_specials(static_cast<std::int32_t>(parts.decoded.size()));
  parts.bos = parts.specials[kLlama4BeginOfText].id;
  parts.eos = parts.specials[kLlama4EndOfText].id;
  parts.frame = frame_without_post_processor(read_tokenizer_config(path), parts.bos, parts.eos);
  std::vector<SplitStep> steps;
  steps.push_back({Regex(kLlama4Split), SplitStep::Matches::isolated});
  parts.pre_tokenizer = PreTokenizer(std::move(steps));
  parts.long_text = BpeTokenizer::LongText::cut_as_llama4;
  auto tokenizer = std::make_unique<BpeTokenizer>(std::move(parts));
  CARAVAN_CHECK(
      tokenizer->keeps_all_bytes(), IoError,
      fmt::format(
          "{}: not every single byte is a token (some text could not be encoded). Is the file truncated?",
          path));
  return tokenizer;
}

}  // namespace caravan::io
