#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "caravan/config.hpp"
#include "caravan/error.hpp"

namespace caravan::jobs {

/// Where a job says something: the node below these keys, or the last that there is on the way.
const Config& place_of(const Config& job, std::initializer_list<std::string_view> keys);

/// Adds "in job.yaml:12: parallel.schedule" to an error whose text does not name that file yet.
void add_place(Error& error, const Config& node);

/// What `action` gives; an error of it says where in the job it comes from.
template <class Action>
decltype(auto) at_place(const Config& node, Action&& action) {
  try {
    return std::forward<Action>(action)();
  } catch (Error& error) {
    add_place(error, node);
    throw;
  }
}

}  // namespace caravan::jobs
