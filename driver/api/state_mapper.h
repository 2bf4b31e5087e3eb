// What MapWithState hands to its function: the state of one key; and how the function is called.
#pragma once

#include <optional>
#include <utility>

#include "driver/api/explain.h"
#include "driver/api/user_state.h"

namespace sluice {

namespace internal {
[[noreturn]] void ThrowNoState();
[[noreturn]] void ThrowStateUse(const char* what, bool timing_out);
template <class K, class V, class S, class F>
class StateMapper;
}  // namespace internal

// The state of one key, during one call. A wrong use throws, and so fails the task: Get without
// state (std::out_of_range); Update or Remove of a state that times out or that this call has
// removed (std::invalid_argument).
template <Record S>
class State {
 public:
  bool Exists() const { return value_.has_value(); }
  const S& Get() const {
    if (!Exists()) internal::ThrowNoState();
    return *value_;
  }
  const std::optional<S>& GetOption() const { return value_; }
  void Update(S value) {
    if (timing_out_ || removed_) internal::ThrowStateUse("Update", timing_out_);
    value_ = std::move(value);
    updated_ = true;
  }
  // Removing what does not exist does nothing.
  void Remove() {
    if (timing_out_ || removed_) internal::ThrowStateUse("Remove", timing_out_);
    value_.reset();
    removed_ = true;
  }
  // The idle timeout is over: this is the key's last call, without a value.
  bool IsTimingOut() const { return timing_out_; }

 private:
  template <class K, class V, class St, class F>
  friend class internal::StateMapper;
  State(std::optional<S>& value, bool timing_out) : value_(value), timing_out_(timing_out) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::optional<S>& value_;
  const bool timing_out_;
  bool updated_ = false;
  bool removed_ = false;
};

namespace internal {

// ---- types ----------------------------------------------------------------------------------

template <class F, class Key, class Value, class S>
concept StateMapFunction =
    std::invocable<const F&, const Key&, const std::optional<Value>&, State<S>&>;
template <class F, class Key, class Value, class S>
concept TimedStateMapFunction =
    std::invocable<const F&, BatchTime, const Key&, const std::optional<Value>&, State<S>&>;
template <class F, class Key, class Value, class S>
concept AnyStateMapFunction =
    StateMapFunction<F, Key, Value, S> || TimedStateMapFunction<F, Key, Value, S>;

template <class R>
struct Emitted {
  using type = R;
};
template <class R>
struct Emitted<std::optional<R>> {
  using type = R;
};

// ---- calls ----------------------------------------------------------------------------------

// How a user's function is called: with views of key and value where it takes them.
template <class K, class V, class S, class F>
struct StateMapCall {
  static constexpr bool kKeyView = AnyStateMapFunction<F, View<K>, View<V>, S> ||
                                   AnyStateMapFunction<F, View<K>, V, S>;
  using Key = std::conditional_t<kKeyView, View<K>, K>;
  static constexpr bool kValueView = AnyStateMapFunction<F, Key, View<V>, S>;
  using Value = std::conditional_t<kValueView, View<V>, V>;
  static constexpr bool kCallable = AnyStateMapFunction<F, Key, Value, S>;
  static constexpr bool kTimed = !StateMapFunction<F, Key, Value, S>;

  template <bool timed, class Nothing = void>
  struct Result {
    using type = std::invoke_result_t<const F&, const Key&, const std::optional<Value>&, State<S>&>;
  };
  template <class Nothing>
  struct Result<true, Nothing> {
    using type = std::invoke_result_t<const F&, BatchTime, const Key&, const std::optional<Value>&,
                                      State<S>&>;
  };
};
// What the function gives, and the row that is emitted of it.
template <class Call>
using GivenBy = std::remove_cvref_t<typename Call::template Result<Call::kTimed>::type>;
template <class Call>
using EmittedBy = typename Emitted<GivenBy<Call>>::type;

template <class K, class V, class S, class F>
class StateMapper {
  using Form = StateMapCall<K, V, S, F>;
  using Key = typename Form::Key;
  using Value = typename Form::Value;
  using Given = GivenBy<Form>;

 public:
  using Out = Own<EmittedBy<Form>>;

  explicit StateMapper(F f) : f_(std::move(f)) {}

  // A record of a key: `emit` gets what is to be emitted. True: the state was updated or removed.
  template <class Emit>
  bool Map(std::string_view key, const View<V>& value, std::optional<S>& state,
           const Emit& emit) {
    State<S> handle(state, false);
    if constexpr (Form::kValueView) {  // new for each call, so that it may stay in registers
      Call(key, std::optional<Value>(value), handle, emit);
    } else {
      AssignOwned(value_.has_value() ? *value_ : value_.emplace(), value);
      Call(key, value_, handle, emit);
    }
    return handle.updated_ || handle.removed_;
  }
  template <class Emit>
  void TimeOut(std::string_view key, std::optional<S>& state, const Emit& emit) {
    State<S> handle(state, true);
    Call(key, std::optional<Value>(), handle, emit);
  }

 private:
  template <class Emit>
  void Call(std::string_view key, const std::optional<Value>& value, State<S>& state,
            const Emit& emit) {
    if constexpr (Form::kKeyView) {
      key_ = DecodeKey<K>(key);
    } else {
      AssignOwned(key_, DecodeKey<K>(key));
    }
    if constexpr (Form::kTimed) {
      Give(f_(BatchTime(), std::as_const(key_), value, state), emit);
    } else {
      Give(f_(std::as_const(key_), value, state), emit);
    }
  }
  template <class Emit>
  static void Give(const Given& given, const Emit& emit) {
    if constexpr (std::same_as<EmittedBy<Form>, Given>) {
      emit(given);
    } else {
      if (given.has_value()) emit(*given);
    }
  }

  const F f_;
  Key key_{};
  std::optional<Value> value_;
};

}  // namespace internal
}  // namespace sluice
