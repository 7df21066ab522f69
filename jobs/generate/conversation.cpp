#include "jobs/generate/conversation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "caravan/check.hpp"
#include "jobs/generate/prompt.hpp"

namespace caravan::jobs {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostBytes = std::size_t{16} << 20;
constexpr int kMostLevels = 16;
constexpr const char* kForm = R"([{"role": "user", "content": "Hello"}])";

/// Refuses what a parser would pass over: a key that stands twice, of which it takes one, and depth without
/// end.
class Strictly {
 public:
  explicit Strictly(const std::string& where) : where_(where) {}
  bool operator()(int depth, Json::parse_event_t event, Json& value) {
    CARAVAN_CHECK(depth <= kMostLevels, ConfigError,
                  fmt::format("{}: more than {} levels (a conversation has 3). Is it the right file?", where_,
                              kMostLevels));
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key)
      CARAVAN_CHECK(keys_.back().insert(value.get<std::string>()).second, ConfigError,
                    fmt::format("{}: '{}' stands twice in one object (which of them counts?). Remove one?",
                                where_, value.get<std::string>()));
    return true;
  }

 private:
  const std::string& where_;
  std::vector<std::set<std::string>> keys_;
};

Json parsed(std::string_view json, const std::string& where) {
  try {
    return Json::parse(json, Strictly(where));
  } catch (const Json::exception& error) {
    throw ConfigError(fmt::format("{}: not JSON ({}). A conversation is {}?", where, error.what(), kForm));
  }
}

bool is_image(const Json& part) {
  const auto type = part.is_object() ? part.find("type") : part.end();
  return part.is_object() && type != part.end() && type->is_string() &&
         type->get<std::string>().starts_with("image");
}

std::string content_of(const Json& content, const std::string& place) {
  if (content.is_string()) return content.get<std::string>();
  const bool has_image = content.is_array() && std::any_of(content.begin(), content.end(), is_image);
  CARAVAN_CHECK(!has_image, ConfigError,
                fmt::format("{}: its content has an image (models are run without their vision part). Leave "
                            "the image out, and give the text as a string?",
                            place));
  throw ConfigError(
      fmt::format("{}: its content is of type {} (only a string is read). Give the text as a string?", place,
                  content.type_name()));
}

void expect_only(const Json& object, const std::set<std::string>& keys, const std::string& place) {
  for (const auto& [key, value] : object.items())
    CARAVAN_CHECK(keys.contains(key), ConfigError,
                  fmt::format("{}: '{}' (only {} counts here, and nothing is passed over). Leave it out?",
                              place, key, fmt::join(keys, " and ")));
  for (const std::string& key : keys)
    CARAVAN_CHECK(object.contains(key), ConfigError,
                  fmt::format("{}: no '{}' (it is needed). A conversation is {}?", place, key, kForm));
}

Message message_of(const Json& value, const std::string& place) {
  CARAVAN_CHECK(value.is_object(), ConfigError,
                fmt::format("{}: of type {} (a message is an object). A conversation is {}?", place,
                            value.type_name(), kForm));
  expect_only(value, {"role", "content"}, place);
  const Json& role = value.at("role");
  const std::string name = role.is_string() ? role.get<std::string>() : role.dump();
  CARAVAN_CHECK(
      name == "system" || name == "user" || name == "assistant", ConfigError,
      fmt::format("{}: role '{}' (known are system, user and assistant). Is it one of these?", place, name));
  return {name, content_of(value.at("content"), place)};
}

}  // namespace

Conversation::Conversation(std::string_view json, std::string where) : where_(std::move(where)) {
  const Json root = parsed(json, where_);
  in_object_ = root.is_object();
  if (in_object_) expect_only(root, {"messages"}, where_);
  const Json& list = in_object_ ? root.at("messages") : root;
  CARAVAN_CHECK(list.is_array(), ConfigError,
                fmt::format("{}: of type {} (a conversation is a list of messages). As in {}?", where_,
                            list.type_name(), kForm));
  for (const Json& each : list) messages_.push_back(message_of(each, place(messages_.size())));
  CARAVAN_CHECK(!messages_.empty(), ConfigError,
                fmt::format("{}: no message (there is nothing to answer). As in {}?", where_, kForm));
  CARAVAN_CHECK(messages_.back().role == "user", ConfigError,
                fmt::format("{}: the last one is the {}'s (what is answered is a user's; an answer is not "
                            "continued). Append a message of the user?",
                            place(messages_.size() - 1), messages_.back().role));
}

std::string Conversation::place(std::size_t message) const {
  return fmt::format("{}: message {}", where_, message + 1);
}

std::string Conversation::with_answer(const std::string& answer) const {
  Json list = Json::array();
  for (const Message& each : messages_) list.push_back({{"role", each.role}, {"content", each.content}});
  list.push_back({{"role", "assistant"}, {"content", answer}});
  Json whole = list;
  if (in_object_) whole = Json{{"messages", list}};
  return whole.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Conversation read_conversation(const std::string& file) {
  const std::string json =
      text_of_file(file, {"conversation", "--chat is -", "Give --chat FILE", kMostBytes});
  return Conversation(json, file == "-" ? "standard input" : file);
}

}  // namespace caravan::jobs
