#include "io/files/sealed_json.hpp"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <span>

#include "caravan/check.hpp"
#include "io/files/digest.hpp"
#include "io/files/file.hpp"
#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

std::string digest_of_text(const std::string& text) {
  return digest_text(std::as_bytes(std::span(text)));
}

}  // namespace

std::string seal_json(const json& body) {
  return json{{"manifest", body}, {"xxh3", digest_of_text(body.dump())}}.dump(1) + "\n";
}

json read_sealed_json(const std::string& path, std::uint64_t most_bytes) {
  const std::string text = read_text(path, most_bytes);
  CARAVAN_CHECK(text.ends_with("}\n"), IoError,
                fmt::format("{} does not end as it was written (truncated)", path));
  json whole = parse_json_strict(text, path);
  return well_formed(path, [&] {
    json& body = whole.at("manifest");
    CARAVAN_CHECK(digest_of_text(body.dump()) == whole.at("xxh3").get<std::string>(), IoError,
                  fmt::format("{} does not have the digest that it carries (damaged)", path));
    return std::move(body);
  });
}

std::string digest_to_hex(std::uint64_t digest) {
  return fmt::format("{:016x}", digest);
}

std::uint64_t digest_from(const json& text) {
  const auto& digits = text.get_ref<const std::string&>();
  std::uint64_t digest = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), digest, 16);
  CARAVAN_CHECK(problem == std::errc() && end == digits.data() + digits.size() && digits.size() == 16,
                IoError, fmt::format("'{}' is no digest of 16 hexadecimal digits", digits));
  return digest;
}

}  // namespace caravan::io
