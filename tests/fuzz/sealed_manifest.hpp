#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "io/files/digest.hpp"

namespace caravan::fuzz {

/// manifest.json around `body` with the digest that belongs to it, as whoever forges one would write it.
/// `body` itself when it is no JSON.
inline std::string sealed_manifest(const std::string& body) {
  const auto parsed = nlohmann::json::parse(body, nullptr, false);
  if (parsed.is_discarded()) return body;
  const std::string text = parsed.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const nlohmann::json whole = {{"manifest", parsed},
                                {"xxh3", io::digest_text(std::as_bytes(std::span(text)))}};
  return whole.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace caravan::fuzz
