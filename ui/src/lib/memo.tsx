/** Components that are made anew only when a property of theirs is another one. */

import { Component, type ComponentChildren, type ComponentClass } from "preact";

export function memo<P extends object>(View: (props: P) => ComponentChildren): ComponentClass<P> {
  return class extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const names = Object.keys(next) as (keyof P)[];
      return (
        names.length !== Object.keys(this.props).length ||
        names.some((name) => next[name] !== this.props[name as keyof typeof this.props])
      );
    }

    override render() {
      return <View {...this.props} />;
    }
  };
}
