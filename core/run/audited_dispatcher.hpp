#pragma once

#include "caravan/dispatch.hpp"

namespace caravan {

/// `dispatcher`, with what it says of received rows compared with the routers of all ranks after each of its
/// dispatches, where ranks exchange their counts once more. For audit builds: it waits for the device.
Made<Dispatcher> audited(Made<Dispatcher> dispatcher, const std::string& name, const Host& host);

}  // namespace caravan
