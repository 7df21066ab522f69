#include "io/meta/pickle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "caravan/check.hpp"
#include "io/meta/little_endian.hpp"
#include "io/meta/pickled_value.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostPickleNameBytes = 1024;

/// The stack machine of pickle, of which it knows what tensors need. A value is made by one operation and
/// refers to older ones by number, so memory grows with the text alone and nothing recurses.
class Machine {
 public:
  Machine(std::string_view text, const std::string& path) : rest_(text), values_(path), path_(path) {}

  PickledTensors run() {
    while (step()) {
    }
    if (stack_.size() != 1) refuse("it ends with values left over");
    return values_.tensors_of(stack_.back());
  }

 private:
  using Id = PickledValues::Id;

  [[noreturn]] void refuse(const std::string& why) const { values_.refuse(why); }

  std::string_view take(std::uint64_t bytes) {
    if (bytes > rest_.size()) refuse("it is cut");
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  std::uint64_t number(std::size_t bytes) { return number_at(take(bytes), 0, bytes); }
  std::string line() {
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos || end > kMostPickleNameBytes) refuse("a name has no end");
    const std::string text(take(end));
    take(1);
    return text;
  }

  void push(Id id) { stack_.push_back(id); }
  void push(PickledValue value) { push(values_.add(std::move(value))); }
  Id pop() {
    if (stack_.empty() || (!marks_.empty() && stack_.size() == marks_.back())) refuse("its stack is empty");
    const Id top = stack_.back();
    stack_.pop_back();
    return top;
  }
  /// Everything above the last mark.
  std::vector<Id> pop_marked() {
    if (marks_.empty()) refuse("a mark is missing");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Id> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<Id> pop_some(std::size_t count) {
    std::vector<Id> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  void push_tuple(std::vector<Id> items) {
    push({.kind = PickledValue::Kind::tuple, .items = std::move(items)});
  }
  void push_integer(std::int64_t integer) { push({.kind = PickledValue::Kind::integer, .integer = integer}); }
  void push_text(std::uint64_t bytes) {
    push({.kind = PickledValue::Kind::text, .text = std::string(take(bytes))});
  }
  void push_global() {
    std::string module = line();
    push(values_.global(module + " " + line()));
  }
  /// A whole number of any length; of more than eight bytes no tensor has one.
  void push_long() {
    const std::size_t bytes = number(1);
    if (bytes > 8) refuse("a number is too large");
    const std::uint64_t raw = number(bytes);
    const bool is_negative = bytes > 0 && bytes < 8 && (raw >> (8 * bytes - 1)) != 0;
    push_integer(static_cast<std::int64_t>(is_negative ? raw | (~std::uint64_t{0} << (8 * bytes)) : raw));
  }

  void remember(std::uint64_t place) {
    const Id top = pop();
    memo_[place] = top;
    push(top);
  }
  void recall(std::uint64_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) refuse("it recalls what it never had");
    push(found->second);
  }
  void set_items(const std::vector<Id>& items) {
    const Id dictionary = pop();
    values_.set_items(dictionary, items);
    push(dictionary);
  }
  void reduce() {
    const Id arguments = pop(), function = pop();
    push(values_.call(function, arguments));
  }
  void make() {
    const Id arguments = pop(), type = pop();
    push(values_.make(type, arguments));
  }
  /// The state of an object is of no interest: dictionaries have their items, and others are not looked at.
  void build() {
    pop();
    values_.check_built(stack_.empty() ? pop() : stack_.back());
  }
  void recall_storage() { push(values_.storage(pop())); }

  /// False at the end.
  bool step() {
    const char operation = take(1).front();
    if (operation == '.') return false;
    if (!push_value(operation) && !use_values(operation))
      refuse(
          fmt::format("operation 0x{:02x} is none that tensors need", static_cast<unsigned char>(operation)));
    return true;
  }

  /// Operations of Python's pickletools, by their bytes: what they put on the stack is in the text.
  bool push_value(char operation) {
    using Kind = PickledValue::Kind;
    switch (operation) {
      case 'c':
        return push_global(), true;  // GLOBAL
      case 'X':
        return push_text(number(4)), true;  // BINUNICODE
      case 'K':
        return push_integer(static_cast<std::int64_t>(number(1))), true;  // BININT1
      case 'M':
        return push_integer(static_cast<std::int64_t>(number(2))), true;  // BININT2
      case 'J':
        return push_integer(static_cast<std::int32_t>(number(4))), true;  // BININT
      case '\x8a':
        return push_long(), true;  // LONG1
      case 'N':
        return push({.kind = Kind::other}), true;  // NONE
      case '\x88':
        return push({.kind = Kind::other}), true;  // NEWTRUE
      case '\x89':
        return push({.kind = Kind::other}), true;  // NEWFALSE
      case '}':
        return push({.kind = Kind::dictionary}), true;  // EMPTY_DICT
      case ')':
        return push_tuple({}), true;  // EMPTY_TUPLE
      case 'h':
        return recall(number(1)), true;  // BINGET
      case 'j':
        return recall(number(4)), true;  // LONG_BINGET
      default:
        return false;
    }
  }

  bool use_values(char operation) {
    switch (operation) {
      case '\x80':
        return check_protocol(), true;  // PROTO
      case 'q':
        return remember(number(1)), true;  // BINPUT
      case 'r':
        return remember(number(4)), true;  // LONG_BINPUT
      case '(':
        return marks_.push_back(stack_.size()), true;  // MARK
      case 't':
        return push_tuple(pop_marked()), true;  // TUPLE
      case '\x85':
        return push_tuple(pop_some(1)), true;  // TUPLE1
      case '\x86':
        return push_tuple(pop_some(2)), true;  // TUPLE2
      case '\x87':
        return push_tuple(pop_some(3)), true;  // TUPLE3
      case 'u':
        return set_items(pop_marked()), true;  // SETITEMS
      case 's':
        return set_items(pop_some(2)), true;  // SETITEM
      case 'R':
        return reduce(), true;  // REDUCE
      case '\x81':
        return make(), true;  // NEWOBJ
      case 'b':
        return build(), true;  // BUILD
      case 'Q':
        return recall_storage(), true;  // BINPERSID
      default:
        return false;
    }
  }

  void check_protocol() {
    const std::uint64_t protocol = number(1);
    if (protocol != 2) refuse(fmt::format("its protocol is {}: torch writes 2", protocol));
  }

  std::string_view rest_;
  PickledValues values_;
  const std::string& path_;
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint64_t, Id> memo_;
};

}  // namespace

PickledTensors read_pickled_tensors(std::string_view pickle, const std::string& path) {
  return Machine(pickle, path).run();
}

}  // namespace caravan::io
