// The constraints of DStream's operators, and what the compiler says where one does not hold: the
// twin of each constrained operator calls an Explain function, whose static_assert is the first
// error line.
#pragma once

#include <iterator>
#include <optional>
#include <span>

#include "driver/api/batch_value.h"
#include "driver/api/chain.h"
#include "driver/api/options.h"

namespace sluice {

template <Record T>
class Batch;
template <Record T>
class PartitionBatch;
template <Record S>
class State;

namespace internal {

// ---- rows ---------------------------------------------------------------------------------

template <class R>
inline constexpr bool kHoldsPointer = std::is_pointer_v<R>;
template <class R>
inline constexpr bool kHoldsReference = std::is_reference_v<R>;
template <class R>
struct StructFields;
template <class... Ds>
struct StructFields<FieldTuple<Ds...>> {
  static constexpr bool kPointer = (kHoldsPointer<std::remove_cvref_t<Ds>> || ...);
  static constexpr bool kReference = (kHoldsReference<Ds> || ...);
  static constexpr bool kView = (std::same_as<std::remove_cvref_t<Ds>, std::string_view> || ...);
};
template <class A, class B>
inline constexpr bool kHoldsPointer<std::pair<A, B>> = kHoldsPointer<A> || kHoldsPointer<B>;
template <class... Ts>
inline constexpr bool kHoldsPointer<std::tuple<Ts...>> = (kHoldsPointer<Ts> || ...);
template <class T>
inline constexpr bool kHoldsPointer<std::vector<T>> = kHoldsPointer<T>;
template <class T>
inline constexpr bool kHoldsPointer<std::optional<T>> = kHoldsPointer<T>;
template <class A, class B>
inline constexpr bool kHoldsReference<std::pair<A, B>> = kHoldsReference<A> || kHoldsReference<B>;
template <class... Ts>
inline constexpr bool kHoldsReference<std::tuple<Ts...>> = (kHoldsReference<Ts> || ...);

template <class R>
concept InspectableStruct = Aggregate<R> && !kShape<R> && (FieldCount<R>() > 0) &&
                            (FieldCount<R>() <= kFieldsMax);
template <InspectableStruct R>
inline constexpr bool kHoldsPointer<R> =
    StructFields<decltype(FieldsOf(std::declval<R&>()))>::kPointer;
template <InspectableStruct R>
inline constexpr bool kHoldsReference<R> =
    StructFields<decltype(FieldsOf(std::declval<R&>()))>::kReference;
template <class R>
inline constexpr bool kStructHoldsView = false;
template <InspectableStruct R>
inline constexpr bool kStructHoldsView<R> =
    StructFields<decltype(FieldsOf(std::declval<R&>()))>::kView;
template <class A, class B>
inline constexpr bool kStructHoldsView<std::pair<A, B>> =
    kStructHoldsView<A> || kStructHoldsView<B>;

template <class R>
constexpr bool TooManyFields() {
  if constexpr (Aggregate<R> && kShape<R> == 0) return FieldCount<R>() > kFieldsMax;
  else return false;
}

template <class R>
void ExplainRow() {
  static_assert(!std::is_void_v<R>, "the function must return a record; it returns nothing");
  static_assert(!kHoldsPointer<R>,
                "a record may not hold a pointer or const char*: use std::string, or "
                "std::string_view or std::string{...} inside a pair");
  static_assert(!kHoldsReference<R>,
                "a record may not hold a reference: return values, for example std::pair{a, b} "
                "instead of std::tie or std::pair<const A&, B>");
  static_assert(!kStructHoldsView<R>,
                "a struct that is a record may not hold a std::string_view, which would dangle "
                "once stored: use std::string");
  static_assert(!TooManyFields<R>(), "a struct that is a record may have at most 16 fields");
  static_assert(std::is_void_v<R> || Row<R>,
                "the type is no record: use numbers, enums, std::string, pairs, tuples, optionals, "
                "vectors, arrays, plain structs of these, a Protobuf message, or give it a Codec");
}

// ---- constraints --------------------------------------------------------------------------

template <class F, class R>
concept MapFunction = RowFunction<F, R> && Row<RowResult<F, R>>;
template <class F, class R>
concept Predicate = RowFunction<F, R> && std::convertible_to<RowResult<F, R>, bool>;

template <class C>
concept Range = requires(C& c) {
  std::begin(c) != std::end(c);
  *std::begin(c);
};
template <class F, class R>
concept RangeFunction = RowFunction<F, R> && Range<RowResult<F, R>> &&
                        Row<decltype(*std::begin(std::declval<RowResult<F, R>&>()))>;
template <class F>
struct IgnoreEmitted {
  void operator()(const typename F::Emits&) const {}
};
template <class F, class R>
concept EmitFunction = requires { typename F::Emits; } && Row<typename F::Emits> &&
                       (std::invocable<const F&, const R&, IgnoreEmitted<F>&> ||
                        std::invocable<const F&, const Own<R>&, IgnoreEmitted<F>&>);
template <class F, class R>
concept FlatMapFunction = EmitFunction<F, R> || RangeFunction<F, R>;

template <class F, class T>
concept PartitionFunction = std::invocable<const F&, std::span<const T>> &&
                            Range<std::invoke_result_t<const F&, std::span<const T>>>;

template <class T>
struct PairTypes {
  using Key = void;
  using Value = int;
};
template <class K, class V>
struct PairTypes<std::pair<K, V>> {
  using Key = K;
  using Value = V;
};
template <class T>
using KeyOf = typename PairTypes<T>::Key;
template <class T>
using ValueOf = typename PairTypes<T>::Value;
template <class T>
concept PairRecord = Record<T> && KeyRecord<KeyOf<T>>;

template <class F, class R>
concept MapValuesFunction =
    requires { typename R::second_type; } && MapFunction<F, typename R::second_type>;

template <class F, class R>
concept FlatMapValuesFunction =
    requires { typename R::second_type; } && RangeFunction<F, typename R::second_type>;

template <class F, class V>
concept ReduceFunction = std::invocable<const F&, const V&, const V&> &&
                         std::convertible_to<std::invoke_result_t<const F&, const V&, const V&>, V>;

template <class F, class T>
concept WindowFilter =
    std::predicate<const F&, const View<KeyOf<T>>&, const View<ValueOf<T>>&> ||
    std::predicate<const F&, const KeyOf<T>&, const ValueOf<T>&>;

// The state type of a function with state: from the last parameter of a function or of a call
// operator that is no template.
struct Deduced {};
template <class P>
struct LastParameter {};
template <class R, class... A>
  requires(sizeof...(A) > 0)
struct LastParameter<R (*)(A...)> {
  using type = std::remove_cvref_t<std::tuple_element_t<sizeof...(A) - 1, std::tuple<A...>>>;
};
template <class R, class... A>
struct LastParameter<R (*)(A...) noexcept> : LastParameter<R (*)(A...)> {};
template <class C, class R, class... A>
struct LastParameter<R (C::*)(A...) const> : LastParameter<R (*)(A...)> {};
template <class C, class R, class... A>
struct LastParameter<R (C::*)(A...) const noexcept> : LastParameter<R (*)(A...)> {};

template <class F>
struct LastParameterOf {};
template <class F>
  requires std::is_pointer_v<F>
struct LastParameterOf<F> : LastParameter<F> {};
template <class F>
  requires requires { &F::operator(); }
struct LastParameterOf<F> : LastParameter<decltype(&F::operator())> {};

template <class F, class S>
struct StateOfFunction {
  using type = std::optional<S>;
};
template <class F>
struct StateOfFunction<F, Deduced> : LastParameterOf<F> {};
template <class F, class S>
concept KnownState = requires {
  typename StateOfFunction<F, S>::type::value_type;
} && Record<typename StateOfFunction<F, S>::type::value_type>;
template <class F, class S>
using StateOf = typename StateOfFunction<F, S>::type::value_type;

template <class F, class S, class... A>
concept UpdatesFrom = std::invocable<const F&, A..., std::optional<StateOf<F, S>>> &&
    std::convertible_to<std::invoke_result_t<const F&, A..., std::optional<StateOf<F, S>>>,
                        std::optional<StateOf<F, S>>>;
// f(values, state), or f(BatchTime, key, values, state) where the key may be a view.
template <class F, class T, class S>
concept PlainUpdateFunction = UpdatesFrom<F, S, std::span<const ValueOf<T>>>;
template <class F, class T, class S, class Key>
concept TimedUpdateFunction = UpdatesFrom<F, S, BatchTime, const Key&, std::span<const ValueOf<T>>>;
template <class F, class T, class S>
concept UpdateFunction =
    KnownState<F, S> && !std::same_as<ValueOf<T>, bool> &&
    (PlainUpdateFunction<F, T, S> || TimedUpdateFunction<F, T, S, View<KeyOf<T>>> ||
     TimedUpdateFunction<F, T, S, KeyOf<T>>);

// The same for MapWithState, whose functions end in State<S>&.
template <class X>
struct StateArgument {};
template <class S>
struct StateArgument<State<S>> {
  using type = S;
};
template <class F, class S>
struct MappedStateOf {
  using type = S;
};
template <class F>
  requires requires { typename LastParameterOf<F>::type; }
struct MappedStateOf<F, Deduced> : StateArgument<typename LastParameterOf<F>::type> {};
template <class F>
  requires(!requires { typename LastParameterOf<F>::type; })
struct MappedStateOf<F, Deduced> {};
template <class F, class S>
concept KnownMappedState = requires { typename MappedStateOf<F, S>::type; } &&
                           Record<typename MappedStateOf<F, S>::type>;

template <class T, class F, class S>
struct MapWithStateTypes {
  using Options = MapWithStateOptions<int, int>;
};
template <PairRecord T, class F, class S>
  requires KnownMappedState<F, S>
struct MapWithStateTypes<T, F, S> {
  using Options = MapWithStateOptions<KeyOf<T>, typename MappedStateOf<F, S>::type>;
};
template <class T, class F, class S>
using MapWithStateOptionsOf = typename MapWithStateTypes<T, F, S>::Options;

template <class F, class T>
concept BatchFunction = std::invocable<const F&, const Batch<T>&>;

// Appends a row by the format's own Append(row, out).
template <class F>
struct FormatCall {
  const F* format;
  std::string* out;
  template <class R>
    requires requires(const F& f, const R& row, std::string& out) { f.Append(row, out); }
  void operator()(const R& row) const {
    format->Append(row, *out);
  }
};
template <class F, class T>
concept FileFormatOf = RowFunction<FormatCall<F>, View<T>>;

template <class F, class T>
concept PartitionBatchFunction = std::invocable<const F&, const PartitionBatch<T>&>;

// ---- explanations -------------------------------------------------------------------------

template <class F, class R>
void ExplainMap() {
  static_assert(RowFunction<F, R>,
                "Map needs a function that can be called with the stream's record");
  if constexpr (RowFunction<F, R>) ExplainRow<std::remove_cvref_t<RowResult<F, R>>>();
}

template <class F, class R>
void ExplainFlatMap() {
  static_assert(RowFunction<F, R> || EmitFunction<F, R>,
                "FlatMap needs a function that can be called with the stream's record, or a "
                "function object f(record, emit) that has `using Emits = ...`");
  if constexpr (RowFunction<F, R>) {
    using C = RowResult<F, R>;
    static_assert(Range<C>, "FlatMap needs a function that returns a range, such as a "
                            "std::vector; for one result per record use Map");
    if constexpr (Range<C>) {
      ExplainRow<std::remove_cvref_t<decltype(*std::begin(std::declval<C&>()))>>();
    }
  }
}

template <class F, class R>
void ExplainFilter() {
  static_assert(RowFunction<F, R>,
                "Filter needs a function that can be called with the stream's record");
  static_assert(!RowFunction<F, R> || Predicate<F, R>, "Filter needs a function that returns bool");
}

inline constexpr int kReduceByKey = 0, kGroupByKey = 1, kReduceByKeyAndWindow = 2,
                     kUpdateStateByKey = 3, kMapValues = 4, kFlatMapValues = 5;
template <class T, int operation>
void ExplainPairs() {
  constexpr bool is_pair = kShape<T> == 1 && requires { typename T::second_type; };
  static_assert(is_pair || operation != kReduceByKey,
                "ReduceByKey needs a stream of pairs (key, value)");
  static_assert(is_pair || operation != kGroupByKey,
                "GroupByKey needs a stream of pairs (key, value)");
  static_assert(is_pair || operation != kReduceByKeyAndWindow,
                "ReduceByKeyAndWindow needs a stream of pairs (key, value)");
  static_assert(is_pair || operation != kUpdateStateByKey,
                "UpdateStateByKey needs a stream of pairs (key, value)");
  static_assert(is_pair || operation != kMapValues,
                "MapValues needs a stream of pairs (key, value)");
  static_assert(is_pair || operation != kFlatMapValues,
                "FlatMapValues needs a stream of pairs (key, value)");
  static_assert(!is_pair || PairRecord<T> || operation >= kMapValues,
                "a key must be a record with one encoding per value; a Protobuf message is none");
}

template <class F, class T, class R>
void ExplainMapValues() {
  ExplainPairs<T, kMapValues>();
  if constexpr (requires { typename R::second_type; }) ExplainMap<F, typename R::second_type>();
}

template <class F, class T, class R>
void ExplainFlatMapValues() {
  ExplainPairs<T, kFlatMapValues>();
  if constexpr (requires { typename R::second_type; }) {
    static_assert(FlatMapValuesFunction<F, R>,
                  "FlatMapValues needs a function that can be called with the record's value and "
                  "returns a range of records; for one result per value use MapValues");
  }
}

template <class F, class T>
void ExplainMapPartitions() {
  static_assert(PartitionFunction<F, T>,
                "MapPartitions needs a function that takes std::span<const T> of the stream's "
                "records and returns a range of records");
}

template <class F, class V>
void ExplainReduce() {
  static_assert(ReduceFunction<F, V>,
                "a reduce function must take two values and return one of the same type");
}

template <class F, class T>
void ExplainWindowFilter() {
  static_assert(WindowFilter<F, T>,
                "ReduceByKeyAndWindow needs as its filter a function of key and value that "
                "returns bool");
}

template <class F, class T, class S>
void ExplainUpdate() {
  static_assert(!std::same_as<ValueOf<T>, bool>,
                "values of an updated state may not be bool: use int");
  static_assert(KnownState<F, S>,
                "UpdateStateByKey cannot tell the type of the state: give the function a last "
                "parameter of type std::optional<S> where S is a record, or write "
                "UpdateStateByKey<S>(name, f)");
  static_assert(!KnownState<F, S> || UpdateFunction<F, T, S>,
                "UpdateStateByKey needs f(std::span<const V> values, std::optional<S> state) that "
                "returns std::optional<S>, where V is the type of the stream's values; or "
                "f(sluice::BatchTime, key, values, state)");
}

template <class F, class T>
void ExplainSaveAsFiles() {
  static_assert(FileFormatOf<F, T>,
                "SaveAsFiles needs a format with void Append(const T& row, std::string& out) "
                "const, where T is the type of the stream's records");
}

template <class F, class T>
void ExplainForeachBatch() {
  static_assert(BatchFunction<F, T>, "ForeachBatch needs a function of const sluice::Batch<T>&");
}

template <class F, class T>
void ExplainForeachPartition() {
  static_assert(PartitionBatchFunction<F, T>,
                "ForeachPartition needs a function of const sluice::PartitionBatch<T>&");
}

}  // namespace internal
}  // namespace sluice
